package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Rig is a control plane that runs. Its methods may be called at once, but for
// those that start and end its processes.
type Rig struct {
	// Dir is a temporary directory, gone after Close; tests may use it. Logs of
	// processes go to its directory logs.
	Dir string
	// Etcd and API are the processes; StartAPI replaces API. Controllers is nil
	// until StartControllers, which replaces it.
	Etcd, API, Controllers *Process
	// Client and Admin may do everything.
	Client kubernetes.Interface
	Admin  *rest.Config
	// Took is how long it took to be ready.
	Took time.Duration

	bins      Binaries
	authority *authority
	etcdURL   string
	address   string // of the API server
}

// The time a process has to be ready, on a machine that does other things too,
// and to end when it is asked to.
const (
	readyIn = 3 * time.Minute
	endIn   = 15 * time.Second
)

// Start starts a control plane with no data in it.
func Start(ctx context.Context, bins Binaries) (*Rig, error) {
	begun := time.Now()
	dir, err := os.MkdirTemp("", "couchestor-rig-")
	if err != nil {
		return nil, err
	}
	r := &Rig{Dir: dir, bins: bins}
	if err := r.start(ctx); err != nil {
		err = fmt.Errorf("%w\n%s", err, r.Tails(40))
		r.Close()
		return nil, err
	}
	r.Took = time.Since(begun)
	return r, nil
}

func (r *Rig) start(ctx context.Context) (err error) {
	if err := os.Mkdir(r.logs(), 0o700); err != nil {
		return err
	}
	if r.authority, err = newAuthority(); err != nil {
		return err
	}
	if err := r.authority.files(r.Dir); err != nil {
		return err
	}
	if err := r.startEtcd(); err != nil {
		return err
	}
	if r.address, err = freeAddress(); err != nil {
		return err
	}
	if r.Admin, err = r.User("admin", "system:masters"); err != nil {
		return err
	}
	if r.Client, err = kubernetes.NewForConfig(r.Admin); err != nil {
		return err
	}
	return r.StartAPI(ctx)
}

// Address is the host and port of the API server.
func (r *Rig) Address() string { return r.address }

func (r *Rig) logs() string { return filepath.Join(r.Dir, "logs") }

// LogFile is where the process of that name writes to.
func (r *Rig) LogFile(name string) string { return filepath.Join(r.logs(), name+".log") }

// startEtcd starts the store. It may sync when it likes: its host outlives it.
func (r *Rig) startEtcd() error {
	client, err := freeAddress()
	if err != nil {
		return err
	}
	peer, err := freeAddress()
	if err != nil {
		return err
	}
	r.etcdURL = "http://" + client
	r.Etcd, err = Command{
		Name: "etcd", Path: r.bins.Etcd, Log: r.LogFile("etcd"), Env: os.Environ(),
		Args: []string{
			"--data-dir=" + filepath.Join(r.Dir, "etcd"),
			"--listen-client-urls=" + r.etcdURL, "--advertise-client-urls=" + r.etcdURL,
			"--listen-peer-urls=http://" + peer, "--initial-advertise-peer-urls=http://" + peer,
			"--initial-cluster=default=http://" + peer,
			"--unsafe-no-fsync", "--log-level=warn",
		},
	}.Start()
	return err
}

// StartAPI starts the API server, again if it was there before: with the same
// data, at the same address. It returns once the server is ready.
func (r *Rig) StartAPI(ctx context.Context) error {
	host, port, err := net.SplitHostPort(r.address)
	if err != nil {
		return err
	}
	audit, err := r.audit()
	if err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(r.Dir, name) }
	r.API, err = Command{
		Name: "kube-apiserver", Path: r.bins.APIServer, Log: r.LogFile("kube-apiserver"), Env: os.Environ(),
		Args: append(audit,
			"--etcd-servers="+r.etcdURL,
			"--bind-address="+host, "--secure-port="+port, "--advertise-address="+host,
			"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24",
			"--tls-cert-file="+file("server.crt"), "--tls-private-key-file="+file("server.key"),
			"--client-ca-file="+file("ca.crt"),
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file="+file("tokens.pub"),
			"--service-account-signing-key-file="+file("tokens.key"),
			// Nodes may do what the real ones may, and see to no pod but their own.
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true",
			"--profiling=false",
		),
	}.Start()
	if err != nil {
		return err
	}
	return r.ready(ctx)
}

// ready waits until the API server says that it is.
func (r *Rig) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyIn, errors.New("the API server was not ready in time"))
	defer cancel()
	var last error
	err := Until(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		for _, p := range []*Process{r.Etcd, r.API} {
			select {
			case <-p.Done():
				return false, fmt.Errorf("%s ended: %s", p.Name, p.cmd.ProcessState)
			default:
			}
		}
		_, last = r.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(5 * time.Second).DoRaw(ctx)
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// Until calls done every so often until it is true or fails. It fails with the
// cause of ctx once that ends.
func Until(ctx context.Context, every time.Duration, done func(context.Context) (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Tails are the ends of all logs, of so many lines each.
func (r *Rig) Tails(lines int) string {
	files, err := filepath.Glob(filepath.Join(r.logs(), "*"))
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "----- end of %s\n%s", f, Tail(f, lines))
	}
	return b.String()
}

// Stop ends the processes and leaves the directory.
func (r *Rig) Stop() {
	for _, p := range []*Process{r.Controllers, r.API, r.Etcd} {
		if p != nil {
			p.Stop(endIn)
		}
	}
}

// Close ends the processes and removes the directory.
func (r *Rig) Close() {
	r.Stop()
	_ = os.RemoveAll(r.Dir) // a temporary directory; the next boot has it
}

// freeAddress is an address on loopback that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
