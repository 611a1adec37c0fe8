package kubelet

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// impatient pods leave a lost node after a second.
func impatient(spec corev1.PodSpec) corev1.PodSpec {
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{
			Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(1)),
		})
	}
	return spec
}

// readiness is what the API server believes of a node.
func (c *cluster) readiness(name string) corev1.ConditionStatus {
	c.Helper()
	node, err := suite.Client.CoreV1().Nodes().Get(c.Context(), name, metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	for _, cond := range node.Status.Conditions {
		if cond.Type == corev1.NodeReady {
			return cond.Status
		}
	}
	return ""
}

// running reports whether a process exists and is no zombie.
func running(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestALostNodesJobGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "a node is lost: its processes die at once, the Job's pod is replaced on another node while the old one is still terminating, and goes when the node boots")
	c := stage(t, Config{Nodes: []string{"a", "b"}})
	spec := impatient(c.spec("wait"))
	spec.TerminationGracePeriodSeconds = new(int64(5))
	c.job("long", batchv1.JobSpec{
		BackoffLimit: new(int32(20)), PodReplacementPolicy: new(batchv1.TerminatingOrFailed), Template: corev1.PodTemplateSpec{Spec: spec},
	})
	var first corev1.Pod
	c.eventually("the Job has a pod that runs", func() bool {
		pods := c.pods("long")
		if len(pods) == 1 && pods[0].Status.Phase == corev1.PodRunning {
			first = pods[0]
			return true
		}
		return false
	})
	c.says(first.Name, "waiting")
	pid := c.Usage(c.ns, first.Name)[0].PID
	if !running(pid) {
		t.Fatalf("process %d does not run", pid)
	}
	c.Node(first.Spec.NodeName).Lose()
	c.eventually("the process is gone", func() bool { return !running(pid) })
	c.eventually("the node is unknown", func() bool { return c.readiness(first.Spec.NodeName) == corev1.ConditionUnknown })
	var second corev1.Pod
	c.eventually("there is another pod that runs", func() bool {
		p := c.running("long")
		if p != nil && p.UID != first.UID {
			second = *p
			return true
		}
		return false
	})
	if second.Spec.NodeName == first.Spec.NodeName {
		t.Errorf("it is on the lost node")
	}
	old := c.get(first.Name)
	if old == nil || old.DeletionTimestamp == nil || old.Status.Phase != corev1.PodRunning {
		t.Fatalf("the pod on the lost node is not Terminating for ever: %+v", old)
	}
	for _, cond := range old.Status.Conditions {
		if cond.Type == corev1.DisruptionTarget && cond.Reason != "DeletionByTaintManager" {
			t.Errorf("got %+v", cond)
		}
	}
	if got := c.Logs(c.ns, first.Name); got != "waiting\n" {
		t.Errorf("the lost process had time to say %q", got)
	}
	if err := c.Node(first.Spec.NodeName).Restart(); err != nil {
		t.Fatal(err)
	}
	c.eventually("the old pod is gone", func() bool { return c.get(first.Name) == nil })
	c.eventually("the node is ready", func() bool { return c.readiness(first.Spec.NodeName) == corev1.ConditionTrue })
	if got := c.get(second.Name); got == nil || got.Status.Phase != corev1.PodRunning {
		t.Errorf("the second pod: %+v", got)
	}
}

func TestAfterABootNothingRunsThatRanBefore(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "a node boots: what ran before has ended with 255, and is started again if its policy says so")
	c := stage(t, Config{})
	always := c.spec("wait")
	always.RestartPolicy = corev1.RestartPolicyAlways
	c.create("always", always)
	c.create("never", c.spec("wait"))
	c.create("over", c.spec("exit", "0"))
	for _, name := range []string{"always", "never"} {
		c.says(name, "waiting")
		c.until(name, "runs", phase(corev1.PodRunning))
	}
	c.until("over", "is over", phase(corev1.PodSucceeded))
	if err := c.Node(c.node("a")).Restart(); err != nil {
		t.Fatal(err)
	}
	pod := c.until("always", "runs again", func(p *corev1.Pod) bool { return only(p).RestartCount == 1 && only(p).State.Running != nil })
	if last := only(pod).LastTerminationState.Terminated; last == nil || last.ExitCode != 255 || last.Reason != "Unknown" {
		t.Errorf("always: %+v", pod.Status)
	}
	pod = c.until("never", "failed", phase(corev1.PodFailed))
	if got := only(pod).State.Terminated; got.ExitCode != 255 || only(pod).RestartCount != 0 {
		t.Errorf("never: %+v", got)
	}
	if got := c.get("over"); got.Status.Phase != corev1.PodSucceeded || only(got).State.Terminated.ExitCode != 0 {
		t.Errorf("over: %+v", got.Status)
	}
}

func TestAPartitionedNodeRunsOnAndHearsNothing(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "a node is cut off: its pods run on and get no answer, another takes over, and when it is back it ends what was deleted")
	c := stage(t, Config{Nodes: []string{"a", "b"}})
	c.job("asks", batchv1.JobSpec{
		PodReplacementPolicy: new(batchv1.TerminatingOrFailed), Template: corev1.PodTemplateSpec{Spec: impatient(c.spec("whoami"))},
	})
	c.eventually("the Job has a pod", func() bool { return len(c.pods("asks")) == 1 })
	first := c.pods("asks")[0]
	c.says(first.Name, "I am")
	first = *c.get(first.Name)
	pid := c.Usage(c.ns, first.Name)[0].PID
	node := c.Node(first.Spec.NodeName)
	node.Partition("elsewhere.example:80") // which is no way to the API server
	c.eventually("it goes on asking", func() bool { return strings.Count(c.Logs(c.ns, first.Name), "I am") > 3 })
	if strings.Contains(c.Logs(c.ns, first.Name), "no answer") {
		t.Error("it was cut off from more than was said")
	}
	node.Partition(API)
	c.says(first.Name, "no answer")
	c.eventually("the node is unknown", func() bool { return c.readiness(node.Name) == corev1.ConditionUnknown })
	c.eventually("there is another pod that runs", func() bool {
		p := c.running("asks")
		return p != nil && p.UID != first.UID
	})
	if !running(pid) {
		t.Error("the process on the node that is cut off does not run")
	}
	if strings.HasSuffix(c.Logs(c.ns, first.Name), "]\n") {
		t.Errorf("it got an answer: %s", c.Logs(c.ns, first.Name))
	}
	node.Heal()
	c.eventually("the old pod is gone", func() bool { return c.get(first.Name) == nil })
	c.eventually("its process is gone", func() bool { return !running(pid) })
	c.eventually("the node is ready", func() bool { return c.readiness(node.Name) == corev1.ConditionTrue })

	for _, n := range c.nodes { // cut off from everything, nodes can still be lost
		n.Partition()
	}
	c.says(c.running("asks").Name, "no answer")
	c.Close()
}

func TestTheBinderKeepsToTheRules(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "pods go to the node with the fewest, and to none that is cordoned or not selected")
	c := stage(t, Config{Nodes: []string{"a", "b"}})
	for _, name := range []string{"one", "two"} {
		c.create(name, c.spec("wait"))
	}
	one, two := c.until("one", "runs", phase(corev1.PodRunning)), c.until("two", "runs", phase(corev1.PodRunning))
	if one.Spec.NodeName == two.Spec.NodeName {
		t.Errorf("both are on %s", one.Spec.NodeName)
	}
	nodes := suite.Client.CoreV1().Nodes()
	cordon := func(is bool) {
		t.Helper()
		patch := `{"spec":{"unschedulable":` + map[bool]string{true: "true", false: "false"}[is] + `}}`
		if _, err := nodes.Patch(t.Context(), c.node("a"), "application/merge-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	cordon(true)
	c.eventually("the binder knows", func() bool { return !c.view.usable(c.node("a")) })
	for _, name := range []string{"three", "four"} {
		c.create(name, c.spec("wait"))
		if got := c.until(name, "runs", phase(corev1.PodRunning)).Spec.NodeName; got != c.node("b") {
			t.Errorf("%s is on %s", name, got)
		}
	}
	bound := c.spec("wait")
	bound.NodeSelector = map[string]string{corev1.LabelHostname: c.node("a")}
	c.create("five", bound)
	c.create("six", c.spec("exit", "0"))
	c.until("six", "is over, after five was looked at", phase(corev1.PodSucceeded))
	if got := c.get("five").Spec.NodeName; got != "" {
		t.Errorf("a pod for the cordoned node is on %s", got)
	}
	cordon(false)
	c.until("five", "runs once it may", phase(corev1.PodRunning))
}

func TestPodsOutliveTheAPIServer(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "the API server is killed: pods run on, and what became of them is told when it is back")
	r := rig.New(t) // of its own, as this harms others
	if err := r.StartControllers(t.Context(), rig.Controllers{}); err != nil {
		t.Fatal(err)
	}
	f := New(t, r, Config{Nodes: []string{"a"}, Images: map[string]Image{"program": {Program: program, Env: []string{inPod + "=1"}}}})
	c := &cluster{Fleet: f, T: t, ns: metav1.NamespaceDefault}
	pods := r.Client.CoreV1().Pods(c.ns)
	for name, args := range map[string][]string{"asks": {"whoami"}, "ends": {"wait"}} {
		if _, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: c.spec(args...)}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	is := func(name string, phase corev1.PodPhase) func() bool {
		return func() bool {
			p, err := pods.Get(t.Context(), name, metav1.GetOptions{})
			return err == nil && p.Status.Phase == phase
		}
	}
	c.says("asks", "I am")
	c.says("ends", "waiting")
	c.eventually("it runs", is("ends", corev1.PodRunning))
	r.API.Kill()
	c.says("asks", "no answer")
	if err := c.Signal(c.ns, "ends", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if err := r.StartAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.eventually("its end is told", is("ends", corev1.PodSucceeded))
	c.eventually("the other has an answer", func() bool { return strings.HasSuffix(c.Logs(c.ns, "asks"), "]\n") })
	if !is("asks", corev1.PodRunning)() {
		t.Error("the other does not run")
	}
	t.Logf("all as before %s after the server was started", time.Since(begun).Round(time.Millisecond))
}

func TestAGate(t *testing.T) {
	t.Parallel()
	var g gate
	done := make(chan struct{})
	if !g.pass(done) {
		t.Error("the zero gate is shut")
	}
	g.set(false)
	passed := make(chan bool)
	go func() { passed <- g.pass(done) }()
	select {
	case <-passed:
		t.Error("a shut gate was passed")
	default:
	}
	g.set(true)
	if !<-passed {
		t.Error("the gate opened, and nobody passed")
	}
	g.set(false)
	close(done)
	if g.pass(done) {
		t.Error("whoever gave up has passed")
	}
}
