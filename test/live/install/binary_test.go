package install

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/billyronks/couchestor/test/live/program"
)

// files puts what the pod mounts into a directory and returns it.
func files(t *testing.T, set objects, pod corev1.PodTemplateSpec) string {
	t.Helper()
	root := t.TempDir()
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		dir := filepath.Join(root, m.MountPath)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, v := range pod.Spec.Volumes {
			if v.Name != m.Name {
				continue
			}
			content := map[string][]byte{}
			if v.ConfigMap != nil {
				for name, text := range as[corev1.ConfigMap](t, set, "ConfigMap "+v.ConfigMap.Name).Data {
					content[name] = []byte(text)
				}
			} else {
				content["tls.crt"], content["tls.key"] = certificate(t)
			}
			for name, text := range content {
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return root
}

// kubeconfig names a cluster that nobody speaks to.
func kubeconfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}], "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate is what a Secret of type kubernetes.io/tls holds.
func certificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

// A flag, a variable or a file that the binary does not take keeps the pod from
// starting, at the worst in the middle of an upgrade.
func TestTheBinaryTakesTheConfigurationOfEachInstallation(t *testing.T) {
	binary, err := program.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	help, err := exec.CommandContext(t.Context(), binary, "serve", "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, help)
	}
	for name, set := range all(t).installations {
		t.Run(name, func(t *testing.T) {
			pod, container := service(t, set)
			root := files(t, set, pod)
			// All faults of a configuration are told at once, and then serve ends. One is
			// added: it must be the only one.
			serve := exec.CommandContext(t.Context(), binary, append(container.Args, "--log-format=none-such")...)
			serve.Env = []string{}
			if variable(container, "COUCHESTOR_VOLUMES_FROM") == "api" {
				// In the place of the service account that a pod has.
				serve.Env = append(serve.Env, "KUBECONFIG="+kubeconfig(t))
			}
			for _, env := range container.Env {
				// Some are not flags: the runtime's, and who acts for the audit trail.
				known := []string{"GOMEMLIMIT", "POD_NAME", "POD_NAMESPACE", "SERVICE_ACCOUNT"}
				if !slices.Contains(known, env.Name) && !regexp.MustCompile(`\$`+env.Name+`\b`).Match(help) {
					t.Errorf("serve does not read $%s", env.Name)
				}
				value := env.Value
				if env.ValueFrom != nil {
					value = system
				}
				if strings.HasPrefix(value, "/") {
					value = filepath.Join(root, value)
				}
				serve.Env = append(serve.Env, env.Name+"="+value)
			}
			out, err := serve.CombinedOutput()
			if err == nil {
				t.Fatalf("serve took a log format that does not exist:\n%s", out)
			}
			said := strings.TrimSpace(strings.ReplaceAll(string(out), "couchestor serve --help says more.", ""))
			if strings.Contains(said, "\n") || !strings.Contains(said, "--log-format") {
				t.Errorf("got faults:\n%s\nwant only that of --log-format", out)
			}
		})
	}
}
