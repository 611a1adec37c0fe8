package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/billyronks/couchestor/test/simulator"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"couchestor": main})
}

// TestScript runs the scripts of testdata/script against the program itself.
// $REQUEST is the sync request that the README sends with curl.
// Besides the usual verbs there are:
//
//	ports NAME...             sets each variable to a free address 127.0.0.1:port
//	mayastor                  starts a control plane with one volume of one replica
//	                          on pool sata-1 and sets $MAYASTOR and $VOLUME; the
//	                          script fails if anything but a read reaches it
//	prometheus IOPS           starts a Prometheus that knows that volume, or none
//	                          where IOPS is "none", and sets $PROMETHEUS; around
//	                          moves an operation took 2 ms
//	until STATUS URL          asks until the answer has that status
//	call STATUS METHOD URL [FILE] [HEADER...]
//	                          asks once; variables in FILE are replaced. The body of
//	                          the answer is stdout, its header is stderr
//	hold N STATUS URL         begins N requests, never ends them, and shows the first
//	                          answer to one of them as call does
//	terminate                 sends SIGTERM to what runs in the background
//	json [undated]            prints stdout again as indented JSON; undated, with TIME
//	                          where a time is: a second can end between two answers
//	expand FILE...            replaces variables in the files
//	deaf NAME...              sets each variable to an address that takes connections
//	                          and never answers
//	kubernetes FILE [CONFIGMAP] starts an API server that has the objects of a sync
//	                          request, and sets $KUBECONFIG; the script fails if
//	                          anything but a read reaches it
//	exits STATUS ARG...       runs couchestor, which has to exit with that status
func TestScript(t *testing.T) {
	t.Parallel()
	setup := func(env *testscript.Env) error {
		request, err := filepath.Abs("../../test/testdata/sync-request.json")
		env.Setenv("REQUEST", request)
		return err
	}
	runScripts(t, "testdata/script", setup, verbs{
		"ports":      ports,
		"mayastor":   startMayastor,
		"prometheus": startPrometheus,
		"until":      until,
		"call":       call,
		"hold":       hold,
		"terminate":  terminate,
		"json":       indent,
		"expand":     expand,
		"deaf":       deaf,
		"kubernetes": startKubernetes,
		"exits":      exits,
	})
}

type verbs = map[string]func(*testscript.TestScript, bool, []string)

// runScripts runs those of a directory, with nothing of the tester's own surroundings.
func runScripts(t *testing.T, dir string, setup func(*testscript.Env) error, cmds verbs) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("NO_PROXY", "*")
			return setup(env)
		},
		Cmds: cmds,
	})
}

func usage(ts *testscript.TestScript, ok bool, text string) {
	if !ok {
		ts.Fatalf("usage: %s", text)
	}
}

func ports(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "ports NAME...")
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		// Held until all are known, so that no two are the same.
		defer l.Close()
		ts.Setenv(name, l.Addr().String())
	}
}

func startMayastor(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "mayastor")
	sim := simulator.NewCluster(simulator.Config{Seed: 1}, 3)
	volume := sim.Published(1<<30, "sata-1")
	var changes atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			changes.Add(1)
		}
		sim.ServeHTTP(w, r)
	}))
	ts.Defer(func() {
		srv.Close()
		// Invariant 10: the service only reads.
		if n := changes.Load(); n > 0 {
			ts.Fatalf("the service sent Mayastor %d requests that are no reads", n)
		}
	})
	ts.Setenv("MAYASTOR", srv.URL)
	ts.Setenv("VOLUME", volume)
}

func startPrometheus(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "prometheus IOPS")
	volume := ts.Getenv("VOLUME")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value := args[0]
		if strings.Contains(r.FormValue("query"), "present_over_time") {
			value = "100"
		}
		result := fmt.Sprintf(`[{"metric":{"pv_name":"pvc-%s"},"value":[%s,%q]}]`, volume, r.FormValue("time"), value)
		if strings.Contains(r.FormValue("query"), "volume_read_latency_us") {
			figure := func(name, value string) string {
				return fmt.Sprintf(`{"metric":{"pv_name":"pvc-%s","figure":%q},"value":[%s,%q]}`, volume, name, r.FormValue("time"), value)
			}
			result = "[" + figure("iops", "100") + "," + figure("busy", "200000") + "," + figure("coverage", "100") + "]"
		}
		if args[0] == "none" {
			result = "[]"
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":%s}}`, result)
	}))
	ts.Defer(srv.Close)
	ts.Setenv("PROMETHEUS", srv.URL)
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "until STATUS URL")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	last := "nothing"
	for {
		if resp, err := http.Get(args[1]); err == nil {
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if last = strconv.Itoa(resp.StatusCode); last == args[0] {
				_, err = ts.Stdout().Write(text)
				ts.Check(err)
				return
			}
			last += ": " + string(text)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			ts.Fatalf("%s did not answer %s in time, its last answer was %s", args[1], args[0], last)
		}
	}
}

func call(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 3, "call STATUS METHOD URL [FILE] [HEADER...]")
	var body io.Reader
	if len(args) > 3 {
		body = strings.NewReader(os.Expand(ts.ReadFile(args[3]), ts.Getenv))
	}
	req, err := http.NewRequest(args[1], args[2], body)
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	for _, h := range args[min(4, len(args)):] {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	show(ts, resp, args[2], args[0])
}

// show makes an answer the script's stdout and stderr.
func show(ts *testscript.TestScript, resp *http.Response, url, status string) {
	defer resp.Body.Close()
	_, err := io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
	ts.Check(resp.Header.Write(ts.Stderr()))
	if got := strconv.Itoa(resp.StatusCode); got != status {
		ts.Fatalf("%s answered %s, want %s", url, got, status)
	}
}

// hold opens connections of its own: a request whose body never ends keeps its
// place until the script ends.
func hold(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "hold N STATUS URL")
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	host, path, _ := strings.Cut(strings.TrimPrefix(args[2], "http://"), "/")
	answers := make(chan *http.Response, n)
	for range n {
		conn, err := net.Dial("tcp", host)
		ts.Check(err)
		ts.Defer(func() { conn.Close() })
		// A shorter body is waited for before an answer is sent.
		_, err = fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{\"children\":{", path, host)
		ts.Check(err)
		go func() {
			if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				answers <- resp
			}
		}()
	}
	select {
	case resp := <-answers:
		show(ts, resp, args[2], args[1])
	case <-time.After(30 * time.Second):
		ts.Fatalf("none of %d requests to %s is answered", n, args[2])
	}
}

func terminate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 0, "terminate")
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

var aTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

func indent(ts *testscript.TestScript, neg bool, args []string) {
	undated := slices.Equal(args, []string{"undated"})
	usage(ts, !neg && (undated || len(args) == 0), "json [undated]")
	var b bytes.Buffer
	ts.Check(json.Indent(&b, []byte(ts.ReadFile("stdout")), "", "  "))
	text := b.Bytes()
	if undated {
		text = aTime.ReplaceAllLiteral(text, []byte("TIME"))
	}
	_, err := ts.Stdout().Write(text)
	ts.Check(err)
}

func expand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "expand FILE...")
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

func deaf(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0, "deaf NAME...")
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Defer(func() { l.Close() })
		ts.Setenv(name, l.Addr().String())
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 1, "exits STATUS ARG...")
	status := "0"
	err := ts.Exec("couchestor", args[1:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = strconv.Itoa(exit.ExitCode())
	} else {
		ts.Check(err)
	}
	if status != args[0] {
		ts.Fatalf("got exit status %s, want %s", status, args[0])
	}
}
