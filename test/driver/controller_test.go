package driver

import (
	"strings"
	"testing"
	"time"
)

func TestMC1Controller(t *testing.T) {
	for name, edit := range map[string][2]string{
		"no sync hook":                   {`sync:      {version: v2, webhook: {timeout: 30s, url: "http://hook/sync"}}`, "sync: null"},
		"an unknown field":               {"generateSelector: true", "generateSelectors: true"},
		"no address":                     {`url: "http://hook/sync"`, `path: /sync`},
		"a service without a path":       {`url: "http://hook/sync"`, `service: {name: a, namespace: b}`},
		"an unknown version":             {"sync:      {version: v2", "sync: {version: v3"},
		"another kind":                   {"kind: CompositeController", "kind: DecoratorController"},
		"an etag, which is not modelled": {`url: "http://hook/sync"`, `url: "http://hook/sync", etag: {enabled: true}`},
		"another word for strict":        {`url: "http://hook/sync"`, `url: "http://hook/sync", responseUnMarshallMode: severe`},
		"no name":                        {"{name: storagepolicy}", "{}"},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			if !strings.Contains(controllerYAML, edit[0]) {
				t.Fatalf("no such text: %s", edit[0])
			}
			if _, err := ReadController([]byte(strings.Replace(controllerYAML, edit[0], edit[1], 1))); err == nil {
				t.Error("no error")
			}
		})
	}
	for name, edit := range map[string][2]string{
		"a parent that is not served":           {"resource: storagepolicies", "resource: storagepolicys"},
		"a parent without a status subresource": {"apiVersion: storage.billyronks.io/v1, resource: storagepolicies", "apiVersion: storage.k8s.io/v1, resource: storageclasses"},
		"a namespaced parent":                   {"apiVersion: storage.billyronks.io/v1, resource: storagepolicies", "apiVersion: openebs.io/v1beta3, resource: diskpools"},
		"a child that is not served":            {"{apiVersion: batch/v1, resource: jobs", "{apiVersion: batch/v2, resource: jobs"},
	} {
		t.Run("not started: "+name, func(t *testing.T) {
			c, err := ReadController([]byte(strings.Replace(controllerYAML, edit[0], edit[1], 1)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := New(NewAPI(Resources()...), Options{Controller: c}); err == nil {
				t.Error("no error")
			}
		})
	}
	t.Run("the service form names no .svc, and the port is 80 by default", func(t *testing.T) {
		c, err := ReadController([]byte(strings.Replace(controllerYAML, `url: "http://hook/sync"`,
			`path: /hooks/1/sync, service: {name: couchestor, namespace: couchestor-system}`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.spec.Hooks.Sync.url(); err != nil || got != "http://couchestor.couchestor-system:80/hooks/1/sync" {
			t.Errorf("%s, %v", got, err)
		}
	})
	t.Run("a timeout of zero or less is the default of 10 s", func(t *testing.T) {
		for text, want := range map[string]time.Duration{"0s": 10 * time.Second, "-1s": 10 * time.Second, "25s": 25 * time.Second} {
			c, err := ReadController([]byte(strings.Replace(controllerYAML, "timeout: 30s", "timeout: "+text, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.spec.Hooks.Sync.timeout(); got != want {
				t.Errorf("%s gives %s", text, got)
			}
		}
	})
}
