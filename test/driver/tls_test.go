package driver

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestMC7_4AHookIsTrustedByItsBundle(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":{"phase":"Active"},"children":[]}`)
	}))
	defer server.Close()
	bundle := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	sync := func(t *testing.T, webhook string) (*Sync, error) {
		t.Helper()
		c, err := ReadController([]byte(`{"apiVersion":"metacontroller.k8s.io/v1alpha1","kind":"CompositeController","metadata":{"name":"storagepolicy"},
			"spec":{"generateSelector":true,"parentResource":{"apiVersion":"storage.billyronks.io/v1","resource":"storagepolicies"},
			"hooks":{"sync":{"version":"v2","webhook":{"url":"` + server.URL + `"` + webhook + `}}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		api := NewAPI(Resources()...)
		if _, err := api.Put(object(t, gold)); err != nil {
			t.Fatal(err)
		}
		d, err := New(api, Options{Controller: c})
		if err != nil {
			return nil, err
		}
		return d.SyncOnce(t.Context(), "gold")
	}
	if s, err := sync(t, `,"caBundle":{"inline":"`+strings.ReplaceAll(bundle, "\n", "\\n")+`"}`); err != nil || !s.StatusWritten {
		t.Errorf("with its certificate in the bundle: %+v, %v, want a status", s, err)
	}
	if _, err := sync(t, ""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a bundle: %v, want that the certificate is not trusted", err)
	}
	if _, err := sync(t, `,"caBundle":{"inline":"nothing"}`); err == nil || !strings.Contains(err.Error(), "caBundle") {
		t.Errorf("with a bundle of nothing: %v, want it named", err)
	}
}
