// Package rig runs a Kubernetes control plane for tests: a real etcd and a real
// kube-apiserver with real authorization, as processes on loopback ports.
//
// [Rig.StartControllers] adds the real kube-controller-manager, and the package
// kubelet beside this one adds nodes that run pods.
//
// Nothing is faked, because what is tested depends on what a fake leaves out:
// that a stale update is refused, that an identity may do what its role says and
// nothing else, that a server dies and comes back with the same data.
//
//	func TestLocks(t *testing.T) {
//		r := rig.New(t) // ready in seconds, gone with the test
//		cfg, err := r.ServiceAccount(t.Context(), "team-a", "mover")
//		err = r.Grant(t.Context(), rig.Account("team-a", "mover"), "team-a", rig.Rule("", "pods", "get"))
//		...
//		r.API.Kill()                  // as by kill -9
//		err = r.StartAPI(t.Context()) // the same data, the same address
//	}
//
// A package whose tests share one control plane has a [Suite].
//
// # Where the programs come from
//
// From the directory that KUBEBUILDER_ASSETS names, else from PATH, else they are
// built from source, at the versions that the module in ../controlplane pins, and
// kept in bin/controlplane of the checkout. Building takes about a quarter of an hour
// on two cores; that is done before the first test, and said.
//
// # What is left behind
//
// Nothing. Each process dies with the test that started it, however that ends (on
// Linux the kernel sees to it). Data and logs are in a temporary directory; it is
// removed unless the test failed, and then the ends of the logs are printed with
// the path of the rest.
package rig
