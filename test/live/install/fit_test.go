package install

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/manifests"
)

// service is the container of the Deployment and its pod.
func service(t testing.TB, set objects) (corev1.PodTemplateSpec, corev1.Container) {
	t.Helper()
	pod := as[appsv1.Deployment](t, set, "Deployment couchestor").Spec.Template
	return pod, pod.Spec.Containers[0]
}

// variable is the value of a variable of the service, or "".
func variable(c corev1.Container, name string) string {
	i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name })
	if i < 0 {
		return ""
	}
	return c.Env[i].Value
}

// mover is the pod of a Job.
func mover(t testing.TB) corev1.PodTemplateSpec {
	t.Helper()
	text, err := manifests.Files.ReadFile("components/job-template/job.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var job batchv1.Job
	if err := yaml.UnmarshalStrict(text, &job); err != nil {
		t.Fatal(err)
	}
	return job.Spec.Template
}

func selects(t testing.TB, selector *metav1.LabelSelector, pod corev1.PodTemplateSpec) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labels.Set(pod.Labels))
}

func TestWhatThePodMountsIsThere(t *testing.T) {
	for name, set := range all(t).installations {
		pod, container := service(t, set)
		mounted := map[string]bool{}
		for _, m := range container.VolumeMounts {
			mounted[m.Name] = true
			if !m.ReadOnly {
				t.Errorf("%s: %s is mounted to be written to", name, m.MountPath)
			}
		}
		for _, v := range pod.Spec.Volumes {
			if !mounted[v.Name] {
				t.Errorf("%s: volume %s is not mounted", name, v.Name)
			}
			switch {
			case v.ConfigMap != nil:
				if set["ConfigMap "+v.ConfigMap.Name] == nil {
					t.Errorf("%s: volume %s is ConfigMap %s, which does not exist", name, v.Name, v.ConfigMap.Name)
				}
			case v.Secret != nil:
				// The component says that it is the user's, or has it made.
				if v.Secret.SecretName != "couchestor-hook-tls" {
					t.Errorf("%s: volume %s is Secret %s, of which nobody knows", name, v.Name, v.Secret.SecretName)
				}
			default:
				t.Errorf("%s: volume %s is neither ConfigMap nor Secret", name, v.Name)
			}
		}
		if account := pod.Spec.ServiceAccountName; set["ServiceAccount "+account] == nil {
			t.Errorf("%s: service account %s does not exist", name, account)
		}
	}
}

// One side with TLS and the other without is a service that is never asked.
func TestHooksAndMetacontrollerAgreeOnTLS(t *testing.T) {
	with := 0
	for name, set := range all(t).installations {
		_, container := service(t, set)
		protocol, tls := "http", variable(container, "COUCHESTOR_TLS_CERT_FILE") != ""
		if tls {
			protocol = "https"
			with++
		}
		for hook, h := range as[compositeController](t, set, "CompositeController storagepolicy").Spec.Hooks {
			if got := h.Webhook.Service.Protocol; got != protocol {
				t.Errorf("%s: %s is called by %s, want %s", name, hook, got, protocol)
			}
			if (h.Webhook.CABundle != nil) != tls {
				t.Errorf("%s: %s: got authority %v, want one exactly where there is TLS", name, hook, h.Webhook.CABundle)
				continue
			}
			if !tls {
				continue
			}
			block, _ := pem.Decode([]byte(h.Webhook.CABundle.Inline))
			if block == nil {
				t.Fatalf("%s: %s: the authority is no PEM: %q", name, hook, h.Webhook.CABundle.Inline)
			}
			if ca, err := x509.ParseCertificate(block.Bytes); err != nil || !ca.IsCA {
				t.Errorf("%s: %s: %v, or it may sign nothing", name, hook, err)
			}
		}
	}
	if with < 4 {
		t.Errorf("got TLS in %d installations, want it in two clusters and with its component", with)
	}
}

func TestTheCertificateIsForTheNameThatMetacontrollerAsksFor(t *testing.T) {
	set := all(t).everything
	var certificate struct {
		Spec struct {
			SecretName string
			DNSNames   []string
			IssuerRef  struct{ Kind, Name string }
		}
	}
	if err := yaml.Unmarshal(set["Certificate couchestor-hook-tls"], &certificate); err != nil {
		t.Fatal(err)
	}
	// MC 7.4: name.namespace, without .svc.
	target := as[compositeController](t, set, "CompositeController storagepolicy").Spec.Hooks["sync"].Webhook.Service
	if want := target.Name + "." + target.Namespace; !slices.Contains(certificate.Spec.DNSNames, want) {
		t.Errorf("got names %q, want %s among them", certificate.Spec.DNSNames, want)
	}
	pod, container := service(t, set)
	mount := container.VolumeMounts[slices.IndexFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "hook-tls" })]
	volume := pod.Spec.Volumes[slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "hook-tls" })]
	if got := volume.Secret.SecretName; got != certificate.Spec.SecretName {
		t.Errorf("the pod mounts Secret %s, the certificate is put into %s", got, certificate.Spec.SecretName)
	}
	for _, file := range []string{variable(container, "COUCHESTOR_TLS_CERT_FILE"), variable(container, "COUCHESTOR_TLS_KEY_FILE")} {
		if !strings.HasPrefix(file, mount.MountPath+"/tls.") {
			t.Errorf("the service reads %s, which is not in %s", file, mount.MountPath)
		}
	}
	if set[certificate.Spec.IssuerRef.Kind+" "+certificate.Spec.IssuerRef.Name] == nil {
		t.Errorf("no %s %s", certificate.Spec.IssuerRef.Kind, certificate.Spec.IssuerRef.Name)
	}
}

func TestPrometheusFindsThePortOfTheMetricsAndOnlyThat(t *testing.T) {
	set := all(t).with["service-monitor"]
	var monitor struct {
		Spec struct {
			Selector          metav1.LabelSelector
			NamespaceSelector struct{ MatchNames []string }
			Endpoints         []struct{ Port, Path, Interval string }
		}
	}
	if err := yaml.Unmarshal(set["ServiceMonitor couchestor"], &monitor); err != nil {
		t.Fatal(err)
	}
	selector, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for name, s := range each[corev1.Service](t, set, "Service") {
		if selector.Matches(labels.Set(s.Labels)) {
			found = append(found, name+" "+s.Spec.Ports[0].Name)
		}
	}
	if want := []string{"couchestor-ops ops"}; !slices.Equal(found, want) {
		t.Errorf("got services %q, want %q", found, want)
	}
	if got := fmt.Sprint(monitor.Spec.Endpoints, monitor.Spec.NamespaceSelector.MatchNames); got != "[{ops /metrics 15s}] [couchestor-system]" {
		t.Errorf("got %s", got)
	}

	pod, container := service(t, all(t).with["scrape-annotations"])
	i := slices.IndexFunc(container.Ports, func(p corev1.ContainerPort) bool { return p.Name == "ops" })
	want := map[string]string{
		"prometheus.io/scrape": "true", "prometheus.io/path": "/metrics",
		"prometheus.io/port": fmt.Sprint(container.Ports[i].ContainerPort),
	}
	for key, value := range want {
		if got := pod.Annotations[key]; got != value {
			t.Errorf("%s: got %q, want %q", key, got, value)
		}
	}
}

// traffic is what network policies of a set let through to and from a pod.
type traffic struct {
	in, out []string
	isolated
}

// isolated tells for which direction anything at all is refused.
type isolated struct{ ingress, egress bool }

func trafficOf(t testing.TB, set objects, pod corev1.PodTemplateSpec) traffic {
	t.Helper()
	var out traffic
	peers := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) []string {
		who := []string{"all"}
		if len(peers) > 0 {
			who = nil
		}
		for _, peer := range peers {
			if peer.NamespaceSelector == nil || peer.IPBlock != nil {
				t.Fatalf("a peer of a form this test does not know: %+v", peer)
			}
			name := peer.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"]
			if peer.PodSelector != nil {
				name += "/" + peer.PodSelector.MatchLabels["app.kubernetes.io/name"]
			}
			who = append(who, name)
		}
		var lines []string
		for _, w := range who {
			for _, p := range ports {
				lines = append(lines, fmt.Sprintf("%s %s/%s", w, *p.Protocol, p.Port.String()))
			}
		}
		return lines
	}
	for _, policy := range each[networkingv1.NetworkPolicy](t, set, "NetworkPolicy") {
		if !selects(t, &policy.Spec.PodSelector, pod) {
			continue
		}
		if slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
			out.ingress = true
			for _, rule := range policy.Spec.Ingress {
				out.in = append(out.in, peers(rule.From, rule.Ports)...)
			}
		}
		if slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) {
			out.egress = true
			for _, rule := range policy.Spec.Egress {
				out.out = append(out.out, peers(rule.To, rule.Ports)...)
			}
		}
		for _, rule := range policy.Spec.Ingress {
			for _, p := range rule.Ports {
				if p.Port.Type == intstr.String && !slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(c corev1.ContainerPort) bool { return c.Name == p.Port.StrVal }) {
					t.Errorf("port %s is none of the pod", p.Port.StrVal)
				}
			}
		}
	}
	slices.Sort(out.in)
	slices.Sort(out.out)
	return out
}

func TestOnlyMetacontrollerReachesTheHooksAndOnlyPrometheusTheMetrics(t *testing.T) {
	set := all(t).with["network-policy"]
	both := []string{
		"all TCP/443", "all TCP/6443", "kube-system TCP/53", "kube-system UDP/53", "mayastor TCP/8081",
	}
	pod, _ := service(t, set)
	tests := []struct {
		name    string
		pod     corev1.PodTemplateSpec
		in, out []string
	}{
		{"the service", pod, []string{"metacontroller TCP/hooks", "monitoring/prometheus TCP/ops"}, append([]string{"monitoring/prometheus TCP/9090"}, both...)},
		{"a Job", mover(t), nil, both},
		{"any other pod", corev1.PodTemplateSpec{}, nil, nil},
	}
	for _, test := range tests {
		got := trafficOf(t, set, test.pod)
		slices.Sort(test.out)
		if !slices.Equal(got.in, test.in) || !slices.Equal(got.out, test.out) || !got.ingress || !got.egress {
			t.Errorf("%s: got in %q, out %q, %+v; want in %q, out %q, and the rest refused", test.name, got.in, got.out, got.isolated, test.in, test.out)
		}
	}
}

// A patch of an address that forgets the network policy cuts the service off.
func TestTheServiceMayReachWhatItIsToldToAsk(t *testing.T) {
	for name, set := range all(t).installations {
		pod, container := service(t, set)
		got := trafficOf(t, set, pod)
		if !got.egress {
			continue
		}
		for _, flag := range []string{"PROMETHEUS_URL", "MAYASTOR_URL"} {
			u, err := url.Parse(variable(container, flag))
			if err != nil {
				t.Fatal(err)
			}
			namespace := strings.Split(u.Hostname(), ".")[1]
			if !slices.ContainsFunc(got.out, func(line string) bool {
				return strings.HasPrefix(line, namespace) && strings.HasSuffix(line, "TCP/"+u.Port())
			}) {
				t.Errorf("%s: %s is %s, and the network lets through %q", name, flag, u, got.out)
			}
		}
	}
}
