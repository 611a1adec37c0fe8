// Package kubelet runs pods: nodes that register with a real API server, a binder
// in the place of the scheduler, and for each container a local process, isolated
// by package sandbox. It needs Linux and a rig whose controllers run.
//
//	f := kubelet.New(t, r, kubelet.Config{
//		Nodes:  []string{"node-a", "node-b"},
//		Images: map[string]kubelet.Image{"billyronks/couchestor": {Program: path}},
//	})
//	f.Serve("mayastor-api-rest.mayastor.svc.cluster.local:8081", kubelet.Address(simulator))
//	f.Expose("couchestor-system", "couchestor", 8080) // as couchestor.couchestor-system.svc:8080
//	... // apply Deployments and Jobs, wait for their status
//	f.Signal("couchestor-system", pod, syscall.SIGKILL)
//	f.Node("node-a").Lose()      // all its processes are killed, nothing is heard of it
//	f.Node("node-b").Partition() // its processes go on, and reach nothing
//	f.Node("node-b").Heal()
//	f.Node("node-a").Restart()   // it boots again, with nothing running
//	f.Logs("couchestor-system", pod)
//	f.Usage("couchestor-system", "couchestor-")
//
// # What is as in a cluster
//
// A node is system:node:NAME in the group system:nodes, and the real Node
// authorizer and NodeRestriction let it see to its own pods alone. Tokens are
// bound to their pod, with the audience and the life asked for, in the files that
// client-go reads. Commands, arguments and their $(VAR)s, environment from fields,
// resources, config maps and secrets; volumes of config maps, secrets, fields,
// tokens and emptyDir, all but the last kept up to date; users, groups and a
// read-only root file system; termination messages, exit codes, restarts with a
// delay that doubles; HTTP and TCP probes; deletion by SIGTERM, grace, SIGKILL, a
// last status and the removal of the object; activeDeadlineSeconds; a pod's own
// address, where ports are its own; the service kubernetes at 10.0.0.1:443.
//
// # What is not
//
// There is no DNS: names are in /etc/hosts, and a pod reaches what [Fleet.Serve]
// named before it started, and nothing else. Memory and CPU are measured, not
// limited. Processes see those of the host, and a program without a handler for
// SIGTERM ends by it, which the first process of a container would not. The binder
// knows readiness, cordons, taints and node selectors, no resources and no
// affinity. Init containers, hooks and probes by exec, ephemeral containers, claims
// and host paths are refused: the pod waits with a message that says so. Logs are
// files, there is no `kubectl logs` or exec. If we are not root, each container is
// root in a namespace of its own, whatever runAsUser says.
package kubelet
