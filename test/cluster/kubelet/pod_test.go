package kubelet

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
)

// TestPods is on one node: no pod of it harms another.
func TestPods(t *testing.T) {
	t.Parallel()
	all := stage(t, Config{RestartDelay: time.Second, Sync: 100 * time.Millisecond, Sample: 20 * time.Millisecond})
	api := suite.Client.CoreV1()
	if _, err := api.ConfigMaps(all.ns).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"color": "blue", "size": "7"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Secrets(all.ns).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "word"}, StringData: map[string]string{"pass": "sesame"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		rule string
		show func(*cluster)
	}{
		{"a pod's token is its service account's, bound to pod and node, where client-go looks for it", tokenIsTheAccounts},
		{"a token has the audience and the life that were asked for", tokenIsAsAsked},
		{"environment and arguments are what the manifest says", environmentIsAsSaid},
		{"what cannot be read is waited for, with the reason in the status", missingIsWaitedFor},
		{"a volume of a config map follows it", volumeFollows},
		{"an image that nobody has is waited for", imageIsWaitedFor},
		{"what this kubelet does not do is refused in words", unsupportedIsRefused},
		{"exit code, signal and last words are in the status", lastWordsAreKept},
		{"a container is restarted as its policy says, and waits longer each time", restartsAreAsSaid},
		{"a deleted pod gets SIGTERM, says how it ended, and is removed", deletedIsTerminated},
		{"a pod that does not end is killed after its grace", stubbornIsKilled},
		{"a second deletion with less grace counts", graceCanBeCut},
		{"a pod past its deadline fails", deadlineIsKept},
		{"a pod is ready, and in its service, when its probe says so", readyIsProbed},
		{"a container whose liveness probe fails is restarted", deadIsRestarted},
		{"each pod has ports of its own, and reaches what is served", portsAreOwn},
		{"memory and CPU of a process are measured", usageIsMeasured},
	} {
		t.Run(test.rule, func(t *testing.T) {
			c := all.in(t)
			suite.Scenario(t, test.rule)
			test.show(c)
		})
	}
}

func tokenIsTheAccounts(c *cluster) {
	c.create("me", c.spec("whoami", "once"))
	c.until("me", "ends well", phase(corev1.PodSucceeded))
	want := fmt.Sprintf("I am system:serviceaccount:%s:default pod [me] node [%s]\n", c.ns, c.node("a"))
	if got := c.Logs(c.ns, "me"); got != want {
		c.Errorf("got %swant %s", got, want)
	}
	if _, err := c.Node(c.node("a")).client.CoreV1().Secrets(metav1.NamespaceSystem).List(c.Context(), metav1.ListOptions{}); err == nil {
		c.Error("a node read secrets that no pod of it mounts")
	}
}

func tokenIsAsAsked(c *cluster) {
	spec := c.spec("show", "/tokens/vault")
	spec.Volumes = []corev1.Volume{{Name: "tokens", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault", ExpirationSeconds: new(int64(1200)), Path: "vault"}}},
	}}}}
	spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "tokens", MountPath: "/tokens"}}
	pod := c.create("audience", spec)
	c.until("audience", "ends well", phase(corev1.PodSucceeded))
	token, _, _ := strings.Cut(strings.TrimPrefix(c.Logs(c.ns, "audience"), "/tokens/vault: "), " ")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		c.Fatalf("no token: %s", c.Logs(c.ns, "audience"))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		c.Fatal(err)
	}
	var claims struct {
		Aud      []string
		Exp, Iat int64
		Bound    struct{ Pod struct{ UID string } } `json:"kubernetes.io"`
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		c.Fatal(err)
	}
	if len(claims.Aud) != 1 || claims.Aud[0] != "vault" || claims.Exp-claims.Iat != 1200 || claims.Bound.Pod.UID != string(pod.UID) {
		c.Errorf("got %s", text)
	}
}

func environmentIsAsSaid(c *cluster) {
	spec := c.spec("show", "POD", "NS", "UID", "NODE", "ACCOUNT", "IP", "APP", "NOTE", "COLOR", "PASS", "NONE", "LIMIT", "JOINED", "x_size", "HOSTNAME", "$(COLOR)", "$$(COLOR)")
	from := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	local := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	main := &spec.Containers[0]
	main.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")}
	main.Env = []corev1.EnvVar{
		{Name: "POD", ValueFrom: from("metadata.name")},
		{Name: "NS", ValueFrom: from("metadata.namespace")},
		{Name: "UID", ValueFrom: from("metadata.uid")},
		{Name: "NODE", ValueFrom: from("spec.nodeName")},
		{Name: "ACCOUNT", ValueFrom: from("spec.serviceAccountName")},
		{Name: "IP", ValueFrom: from("status.podIP")},
		{Name: "APP", ValueFrom: from("metadata.labels['app']")},
		{Name: "NOTE", ValueFrom: from("metadata.annotations['note']")},
		{Name: "COLOR", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: local("settings"), Key: "color"}}},
		{Name: "PASS", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local("word"), Key: "pass"}}},
		{Name: "NONE", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: local("none"), Key: "x", Optional: new(true)}}},
		{Name: "LIMIT", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}},
		{Name: "JOINED", Value: "$(POD).$(NS).$(UNKNOWN)"},
	}
	main.EnvFrom = []corev1.EnvFromSource{{Prefix: "x_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("settings")}}}
	pod := c.make(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "env", Labels: map[string]string{"app": "shop"}, Annotations: map[string]string{"note": "hello"},
	}, Spec: spec})
	pod = c.until(pod.Name, "ends well", phase(corev1.PodSucceeded))
	want := fmt.Sprintf("POD=env\nNS=%s\nUID=%s\nNODE=%s\nACCOUNT=default\nIP=%s\nAPP=shop\nNOTE=hello\nCOLOR=blue\nPASS=sesame\nNONE=\nLIMIT=128\n"+
		"JOINED=env.%s.$(UNKNOWN)\nx_size=7\nHOSTNAME=env\nblue=\n$(COLOR)=\n",
		c.ns, pod.UID, c.node("a"), pod.Status.PodIP, c.ns)
	if got := c.Logs(c.ns, "env"); got != want {
		c.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func missingIsWaitedFor(c *cluster) {
	maps := suite.Client.CoreV1().ConfigMaps(c.ns)
	spec := c.spec("show", "/late/key")
	spec.Volumes = []corev1.Volume{{Name: "late", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "late"}}}}}
	spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "late", MountPath: "/late"}}
	c.create("volume", spec)
	spec = c.spec("show", "KEY")
	spec.Containers[0].Env = []corev1.EnvVar{{Name: "KEY", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: "late"}, Key: "key",
	}}}}
	c.create("variable", spec)
	waits := func(reason string) func(*corev1.Pod) bool {
		return func(p *corev1.Pod) bool {
			return p.Status.Phase == corev1.PodPending && len(p.Status.ContainerStatuses) == 1 && only(p).State.Waiting != nil &&
				only(p).State.Waiting.Reason == reason && strings.Contains(only(p).State.Waiting.Message, `"late" not found`)
		}
	}
	c.until("volume", "waits for its volume", waits("ContainerCreating"))
	c.until("variable", "waits for its environment", waits("CreateContainerConfigError"))
	if _, err := maps.Create(c.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}, Data: map[string]string{"key": "here"}}, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	c.until("volume", "goes on", phase(corev1.PodSucceeded))
	c.until("variable", "goes on", phase(corev1.PodSucceeded))
	if got := c.Logs(c.ns, "volume") + c.Logs(c.ns, "variable"); got != "/late/key: here <nil>\nKEY=here\n" {
		c.Errorf("got %s", got)
	}
}

func volumeFollows(c *cluster) {
	maps := suite.Client.CoreV1().ConfigMaps(c.ns)
	m, err := maps.Create(c.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "moving"}, Data: map[string]string{"at": "home", "other": "x"}}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	spec := c.spec("follow", "/where/place")
	spec.Volumes = []corev1.Volume{{Name: "where", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "moving"}, Items: []corev1.KeyToPath{{Key: "at", Path: "place"}},
	}}}}
	spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "where", MountPath: "/where"}}
	c.create("follower", spec)
	c.says("follower", "now home\n")
	m.Data["at"] = "work"
	if _, err := maps.Update(c.Context(), m, metav1.UpdateOptions{}); err != nil {
		c.Fatal(err)
	}
	c.says("follower", "now work\n")
	if got := c.Logs(c.ns, "follower"); got != "now home\nnow work\n" {
		c.Errorf("between the two it saw something else: %s", got)
	}
}

func imageIsWaitedFor(c *cluster) {
	spec := c.spec("exit", "0")
	spec.Containers[0].Image = "registry:5000/other@sha256:" + strings.Repeat("0", 64)
	c.create("image", spec)
	c.until("image", "waits", func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) == 1 && only(p).State.Waiting != nil && only(p).State.Waiting.Reason == "ErrImagePull"
	})
	c.SetImage("registry:5000/other", Image{Program: program, Env: []string{inPod + "=1"}})
	c.until("image", "runs", phase(corev1.PodSucceeded))
}

func unsupportedIsRefused(c *cluster) {
	spec := c.spec("exit", "0")
	spec.InitContainers = []corev1.Container{{Name: "first", Image: "program"}}
	c.create("init", spec)
	spec = c.spec("exit", "0")
	spec.Volumes = []corev1.Volume{{Name: "disk", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
	c.create("hostpath", spec)
	for name, text := range map[string]string{"init": "runs no init", "hostpath": "volume disk: its kind is not supported"} {
		c.until(name, "is refused", func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) == 1 && only(p).State.Waiting != nil && strings.Contains(only(p).State.Waiting.Message, text)
		})
		if err := suite.Client.CoreV1().Pods(c.ns).Delete(c.Context(), name, metav1.DeleteOptions{}); err != nil {
			c.Fatal(err)
		}
		c.eventually(name+" can be deleted", func() bool { return c.get(name) == nil })
	}
	if os.Geteuid() == 0 {
		spec = c.spec("exit", "0")
		spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: new(true)}
		c.create("root", spec)
		c.until("root", "is refused", func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) == 1 && only(p).State.Waiting != nil && strings.Contains(only(p).State.Waiting.Message, "image will run as root")
		})
	}
}

func lastWordsAreKept(c *cluster) {
	fall := func(s corev1.PodSpec) corev1.PodSpec {
		s.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
		return s
	}
	for name, test := range map[string]struct {
		spec    corev1.PodSpec
		phase   corev1.PodPhase
		code    int32
		reason  string
		message string
	}{
		"said":       {c.spec("exit", "3", "the disk is full"), corev1.PodFailed, 3, "Error", "the disk is full"},
		"said-well":  {c.spec("exit", "0", "all is well"), corev1.PodSucceeded, 0, "Completed", "all is well"},
		"log":        {fall(c.spec("exit", "4")), corev1.PodFailed, 4, "Error", "about to end with 4\n"},
		"log-unread": {fall(c.spec("exit", "0")), corev1.PodSucceeded, 0, "Completed", ""},
		"file-only":  {c.spec("exit", "5"), corev1.PodFailed, 5, "Error", ""},
		"signal":     {c.spec("kill"), corev1.PodFailed, 137, "Error", ""},
	} {
		c.create(name, test.spec)
		got := only(c.until(name, "is over", phase(test.phase))).State.Terminated
		if got.ExitCode != test.code || got.Reason != test.reason || got.Message != test.message {
			c.Errorf("%s: got %+v", name, got)
		}
	}
	bad := c.spec()
	bad.Containers[0].Command = []string{"/no/such"}
	c.create("no-program", bad)
	got := only(c.until("no-program", "is over", phase(corev1.PodFailed))).State.Terminated
	if got.ExitCode != 128 || got.Reason != "StartError" || !strings.Contains(got.Message, "exec /no/such: no such file") {
		c.Errorf("no program: got %+v", got)
	}
}

func restartsAreAsSaid(c *cluster) {
	policy := func(p corev1.RestartPolicy, args ...string) corev1.PodSpec {
		spec := c.spec(args...)
		spec.RestartPolicy = p
		return spec
	}
	c.create("always", policy(corev1.RestartPolicyAlways, "exit", "0"))
	c.create("on-failure", policy(corev1.RestartPolicyOnFailure, "exit", "6"))
	c.create("no-failure", policy(corev1.RestartPolicyOnFailure, "exit", "0"))
	for _, name := range []string{"always", "on-failure"} {
		c.until(name, "loops", func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) == 1 && only(p).RestartCount >= 3 && p.Status.Phase == corev1.PodRunning &&
				only(p).State.Waiting != nil && only(p).State.Waiting.Reason == "CrashLoopBackOff" && only(p).LastTerminationState.Terminated != nil
		})
	}
	if got := only(c.until("no-failure", "is over", phase(corev1.PodSucceeded))).RestartCount; got != 0 {
		c.Errorf("one that ended well was restarted %d times", got)
	}
	// The starts of the first four: at once, at once, after 1 s, after 2 s.
	runs := c.Usage(c.ns, "always")
	for i, least := range []time.Duration{0, 0, time.Second, 2 * time.Second} {
		if i > 0 && runs[i].Began.Sub(runs[i-1].Ended) < least {
			c.Errorf("start %d came %s after the last end, want at least %s", i+1, runs[i].Began.Sub(runs[i-1].Ended), least)
		}
	}
}

// deletion deletes a pod and returns what a watch saw of it, and how long it took.
func (c *cluster) deletion(name string, grace *int64) (seen []corev1.Pod, took time.Duration) {
	c.Helper()
	api := suite.Client.CoreV1().Pods(c.ns)
	ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
	defer cancel()
	w, err := api.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name, ResourceVersion: c.get(name).ResourceVersion})
	if err != nil {
		c.Fatal(err)
	}
	defer w.Stop()
	begun := time.Now()
	if err := api.Delete(c.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: grace}); err != nil {
		c.Fatal(err)
	}
	for e := range w.ResultChan() {
		if p, ok := e.Object.(*corev1.Pod); ok {
			seen = append(seen, *p)
		}
		if e.Type == watch.Deleted {
			return seen, time.Since(begun)
		}
	}
	c.Fatalf("%s is still there", name)
	return nil, 0
}

func deletedIsTerminated(c *cluster) {
	spec := c.spec("wait")
	spec.RestartPolicy = corev1.RestartPolicyAlways
	c.create("polite", spec)
	c.says("polite", "waiting")
	seen, _ := c.deletion("polite", nil)
	last := seen[len(seen)-1]
	if last.Status.Phase != corev1.PodSucceeded || only(&last).State.Terminated == nil || only(&last).State.Terminated.ExitCode != 0 {
		c.Errorf("its last status: %+v", last.Status)
	}
	if got := c.Logs(c.ns, "polite"); got != "waiting\nterminated\n" {
		c.Errorf("its log: %s", got)
	}
}

func stubbornIsKilled(c *cluster) {
	spec := c.spec("stubborn")
	spec.TerminationGracePeriodSeconds = new(int64(2))
	c.create("stubborn", spec)
	c.says("stubborn", "waiting")
	seen, took := c.deletion("stubborn", nil)
	last := seen[len(seen)-1]
	if took < 2*time.Second || only(&last).State.Terminated == nil || only(&last).State.Terminated.ExitCode != 137 || last.Status.Phase != corev1.PodFailed {
		c.Errorf("after %s: %+v", took, last.Status)
	}
	if got := c.Logs(c.ns, "stubborn"); got != "waiting\nno\n" {
		c.Errorf("its log: %s", got)
	}
}

func graceCanBeCut(c *cluster) {
	spec := c.spec("stubborn")
	spec.TerminationGracePeriodSeconds = new(int64(600))
	c.create("slow", spec)
	c.says("slow", "waiting")
	api := suite.Client.CoreV1().Pods(c.ns)
	if err := api.Delete(c.Context(), "slow", metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
	c.says("slow", "no\n")
	if _, took := c.deletion("slow", new(int64(1))); took < 500*time.Millisecond {
		c.Errorf("it took %s", took)
	}
}

func deadlineIsKept(c *cluster) {
	spec := c.spec("wait")
	spec.ActiveDeadlineSeconds = new(int64(4))
	c.create("late", spec)
	c.says("late", "waiting")
	pod := c.until("late", "fails", phase(corev1.PodFailed))
	if pod.Status.Reason != "DeadlineExceeded" || c.Logs(c.ns, "late") != "waiting\nterminated\n" {
		c.Errorf("got %s %s, log %s", pod.Status.Reason, pod.Status.Message, c.Logs(c.ns, "late"))
	}
	if end := only(pod).State.Terminated.FinishedAt.Sub(pod.Status.StartTime.Time); end < 4*time.Second {
		c.Errorf("it was ended after %s", end)
	}
}

// probed is a pod that serves on :8080 with readiness and liveness on /healthz.
func (c *cluster) probed(name string, ready, live bool) {
	c.Helper()
	spec := c.spec("serve", ":8080")
	spec.RestartPolicy = corev1.RestartPolicyAlways
	main := &spec.Containers[0]
	main.Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}
	probe := &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromString("web")}},
		PeriodSeconds: 1, FailureThreshold: 1, TimeoutSeconds: 5,
	}
	if ready {
		main.ReadinessProbe = probe
	}
	if live {
		main.LivenessProbe = probe
		main.StartupProbe = probe.DeepCopy() // until it is well nothing else is asked
		main.StartupProbe.FailureThreshold = 60
	}
	c.make(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}, Spec: spec})
}

// serve makes a service of pods with that label and returns a client of it.
func (c *cluster) serve(name string) *http.Client {
	c.Helper()
	_, err := suite.Client.CoreV1().Services(c.ns).Create(c.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("web")}}},
	}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	dial := c.Service(c.ns, name, 80)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}
}

// ask asks a URL once; "" if there is no answer.
func ask(client *http.Client, path string) string {
	resp, err := client.Get("http://service" + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

func readyIsProbed(c *cluster) {
	client := c.serve("web")
	c.probed("web", true, false)
	c.until("web", "is ready", able)
	c.eventually("the service answers", func() bool { return ask(client, "/") == "web" })
	c.eventually("the real controller lists it", func() bool {
		slices, err := suite.Client.DiscoveryV1().EndpointSlices(c.ns).List(c.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})
		return err == nil && len(slices.Items) == 1 && len(slices.Items[0].Endpoints) == 1 && *slices.Items[0].Endpoints[0].Conditions.Ready
	})
	ask(client, "/set?healthz=503")
	pod := c.until("web", "is not ready", func(p *corev1.Pod) bool { return !able(p) })
	if only(pod).State.Running == nil || only(pod).RestartCount != 0 {
		c.Errorf("it was restarted: %+v", pod.Status)
	}
	c.eventually("the service has nobody", func() bool { return ask(client, "/") == "" })
}

func deadIsRestarted(c *cluster) {
	client := c.serve("live")
	c.probed("live", false, true)
	c.eventually("the service answers", func() bool { return ask(client, "/") == "live" })
	ask(client, "/set?healthz=500")
	c.until("live", "was restarted", func(p *corev1.Pod) bool { return only(p).RestartCount >= 1 && able(p) })
	c.eventually("the service answers again", func() bool { return ask(client, "/") == "live" })
}

func portsAreOwn(c *cluster) {
	c.Serve("shop.example:8080", c.Service(c.ns, "one", 80))
	c.Expose(c.ns, "two", 80)
	one, two := c.serve("one"), c.serve("two")
	c.probed("one", true, false)
	c.probed("two", true, false)
	c.eventually("both answer, on the same port", func() bool { return ask(one, "/") == "one" && ask(two, "/") == "two" })
	// A pod that has port 8080 itself reaches port 8080 of another by its name.
	spec := c.spec("get", "http://shop.example:8080/")
	spec.Containers = append(spec.Containers, corev1.Container{Name: "beside", Image: "program", Args: []string{"serve", ":8080"}})
	c.create("client", spec)
	c.says("client", "one")
	c.create("other", c.spec("get", "http://two."+c.ns+".svc/"))
	c.says("other", "two")
	c.create("stranger", c.spec("get", "http://elsewhere.example:8080/"))
	c.until("stranger", "finds nobody", phase(corev1.PodFailed))
}

func usageIsMeasured(c *cluster) {
	c.create("burner", c.spec("burn", "64"))
	c.until("burner", "is over", phase(corev1.PodSucceeded))
	all := c.Usage(c.ns, "burner")
	if len(all) != 1 {
		c.Fatalf("got %+v", all)
	}
	u := all[0]
	if u.PeakRSS < 64<<20 || u.PeakRSS > 256<<20 {
		c.Errorf("64 MiB were held, measured were %d bytes", u.PeakRSS)
	}
	if u.CPU < 300*time.Millisecond || u.CPU > 3*time.Second || len(u.Samples) < 3 {
		c.Errorf("300 ms of CPU were used, measured were %s in %d samples", u.CPU, len(u.Samples))
	}
	var rss []string
	for _, s := range u.Samples {
		rss = append(rss, fmt.Sprint(s.RSS>>20))
	}
	c.Logf("64 MiB: peak %d MiB, samples %s, CPU %s", u.PeakRSS>>20, strings.Join(rss, " "), u.CPU)
}

func TestMillicores(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	at := func(seconds float64) time.Time { return begun.Add(time.Duration(seconds * float64(time.Second))) }
	u := Usage{Began: begun, Ended: at(10), CPU: 2 * time.Second}
	if mean, peak := u.Millicores(); mean != 200 || peak != 200 {
		t.Errorf("without samples: %v, %v", mean, peak)
	}
	cpu := 0.0
	for i := range 100 { // idle but for the fourth and fifth second
		if i >= 30 && i < 50 {
			cpu += 0.1
		}
		u.Samples = append(u.Samples, Sample{At: at(float64(i+1) / 10), CPU: time.Duration(cpu * float64(time.Second))})
	}
	if mean, peak := u.Millicores(); mean != 200 || peak < 999 || peak > 1001 {
		t.Errorf("2 s of 10 busy: %v, %v", mean, peak)
	}
	u.Ended = time.Time{}
	if mean, _ := u.Millicores(); mean != 200 {
		t.Errorf("while it runs: %v", mean)
	}
}

func TestExpansion(t *testing.T) {
	t.Parallel()
	env := map[string]string{"A": "1", "B": "$(A)"}
	for text, want := range map[string]string{
		"x": "x", "$(A)": "1", "x$(A)y$(A)": "x1y1", "$(B)": "$(A)", "$(C)": "$(C)", "$$(A)": "$(A)", "$A": "$A", "$(A": "$(A", "$": "$", "$$": "$", "": "",
	} {
		if got := expand(text, env); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestAVolumeChangesAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	show := func(files map[string]file) string {
		t.Helper()
		if err := replace(dir, files); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), "..") {
				text, _ := os.ReadFile(dir + "/" + e.Name())
				fmt.Fprintf(&b, "%s=%s ", e.Name(), text)
			}
		}
		return b.String()
	}
	if got := show(map[string]file{"a": {[]byte("1"), 0o644}, "b": {[]byte("2"), 0o600}}); got != "a=1 b=2 " {
		t.Errorf("first: %s", got)
	}
	before, _ := os.Readlink(dir + "/..data")
	if got := show(map[string]file{"a": {[]byte("1"), 0o644}, "b": {[]byte("2"), 0o600}}); got != "a=1 b=2 " {
		t.Errorf("the same again: %s", got)
	}
	if after, _ := os.Readlink(dir + "/..data"); after != before {
		t.Error("nothing changed, but it was written")
	}
	if got := show(map[string]file{"a": {[]byte("3"), 0o644}, "c/d": {[]byte("4"), 0o644}}); got != "a=3 c= " {
		t.Errorf("changed: %s", got)
	}
	if text, err := os.ReadFile(dir + "/c/d"); string(text) != "4" {
		t.Errorf("in a directory: %s, %v", text, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 4 { // a, c, ..data and its directory
		t.Errorf("left: %v", left)
	}
}

func TestTolerations(t *testing.T) {
	t.Parallel()
	taint := corev1.Taint{Key: "k", Value: "v", Effect: corev1.TaintEffectNoSchedule}
	for _, test := range []struct {
		rule string
		have corev1.Toleration
		want bool
	}{
		{"the same", corev1.Toleration{Key: "k", Value: "v", Effect: corev1.TaintEffectNoSchedule}, true},
		{"another value", corev1.Toleration{Key: "k", Value: "w"}, false},
		{"any value", corev1.Toleration{Key: "k", Operator: corev1.TolerationOpExists}, true},
		{"any key", corev1.Toleration{Operator: corev1.TolerationOpExists}, true},
		{"another effect", corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}, false},
		{"another key", corev1.Toleration{Key: "l", Operator: corev1.TolerationOpExists}, false},
	} {
		p := &corev1.Pod{Spec: corev1.PodSpec{Tolerations: []corev1.Toleration{test.have}}}
		if got := tolerated(p, taint); got != test.want {
			t.Errorf("%s: got %v", test.rule, got)
		}
	}
}
