package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hookName is the name under which Metacontroller calls the service (MC 7.4).
const hookName = "couchestor.couchestor-system"

// newPair writes a certificate of its own authority and its key, and returns what
// a client has to trust.
func newPair(t *testing.T, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hooks"}, DNSNames: []string{hookName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, certFile, certPEM)
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// withTLS is a service whose hooks have a certificate, and the pool that trusts
// it.
func withTLS(t *testing.T) (Config, *x509.CertPool) {
	t.Helper()
	c := testConfig(away{}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	})
	dir := t.TempDir()
	c.TLSCertFile, c.TLSKeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	return c, newPair(t, c.TLSCertFile, c.TLSKeyFile)
}

// run serves c on loopback until the test ends.
func run(t *testing.T, c Config) (hooks, ops string) {
	t.Helper()
	s := newTestServer(t, c)
	var listeners []net.Listener
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
	}
	done := make(chan error)
	go func() { done <- s.Serve(t.Context(), listeners[0], listeners[1]) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listeners[0].Addr().String(), listeners[1].Addr().String()
}

// handshake calls as Metacontroller does, on a connection of its own.
func handshake(t *testing.T, address string, cfg *tls.Config) (body string, err error) {
	t.Helper()
	cfg.ServerName = hookName
	transport := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get("https://" + address)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func TestHooksAnswerByTLSWhereThereIsACertificate(t *testing.T) {
	c, pool := withTLS(t)
	hooks, ops := run(t, c)
	if got, err := handshake(t, hooks, &tls.Config{RootCAs: pool}); got != "HTTP/1.1" || err != nil {
		t.Errorf("got %q, %v; want an answer by HTTP/1.1", got, err)
	}
	if got, err := handshake(t, hooks, &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS12}); err != nil {
		t.Errorf("TLS 1.2: got %q, %v; want an answer", got, err)
	}
	if _, err := handshake(t, hooks, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	if _, err := handshake(t, hooks, &tls.Config{RootCAs: x509.NewCertPool()}); err == nil {
		t.Error("a client that does not trust the authority got an answer")
	}
	resp, err := http.Get("http://" + hooks)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP got status %d, want 400", resp.StatusCode)
	}
	// Probes and Prometheus have no certificate to trust.
	resp, err = http.Get("http://" + ops + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("health got status %d, want 200", resp.StatusCode)
	}
}

func TestARenewedCertificateIsUsedWithoutARestart(t *testing.T) {
	c, old := withTLS(t)
	var log bytes.Buffer
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	files, err := loadCertificate(c.TLSCertFile, c.TLSKeyFile, c.Log)
	if err != nil {
		t.Fatal(err)
	}
	first := files.current
	get := func() *tls.Certificate {
		t.Helper()
		cert, err := files.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	if get() != first || log.Len() > 0 {
		t.Errorf("the same files: got another certificate, or said %q", &log)
	}
	// Between the renewal of the two files the old certificate is used.
	oldKey, err := os.ReadFile(c.TLSKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	renewed := newPair(t, c.TLSCertFile, c.TLSKeyFile)
	newKey, err := os.ReadFile(c.TLSKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c.TLSKeyFile, oldKey)
	if get() != first || !strings.Contains(log.String(), "was not renewed") {
		t.Errorf("with half of a renewal: got another certificate, or said %q", &log)
	}
	said := log.Len()
	if get(); log.Len() != said {
		t.Errorf("the same fault was said again: %q", &log)
	}
	write(t, c.TLSKeyFile, newKey)
	next := get()
	leaf, err := x509.ParseCertificate(next.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: renewed, DNSName: hookName}); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: old, DNSName: hookName}); err == nil {
		t.Error("after the renewal the old certificate is used")
	}
	// A file that is gone changes nothing.
	if err := os.Remove(c.TLSCertFile); err != nil {
		t.Fatal(err)
	}
	if get() != next {
		t.Error("without the file: got another certificate")
	}
}

func TestFilesThatAreNoCertificateAreAFaultOfTheConfiguration(t *testing.T) {
	good, _ := withTLS(t)
	other, _ := withTLS(t)
	nowhere := filepath.Join(t.TempDir(), "none")
	tests := []struct {
		name, cert, key string
		want            string
	}{
		{"neither", "", "", ""},
		{"both", good.TLSCertFile, good.TLSKeyFile, ""},
		{"the key is missing", good.TLSCertFile, "", "--tls-cert-file and --tls-key-file go together; give both, or neither for plain HTTP"},
		{"the certificate is missing", "", good.TLSKeyFile, "--tls-cert-file and --tls-key-file go together; give both, or neither for plain HTTP"},
		{"no such certificate", nowhere, good.TLSKeyFile, "--tls-cert-file: open " + nowhere},
		{"no such key", good.TLSCertFile, nowhere, "--tls-key-file: open " + nowhere},
		{"the key of another", good.TLSCertFile, other.TLSKeyFile, "private key does not match public key"},
		{"the key for the certificate", good.TLSKeyFile, good.TLSKeyFile, "failed to find certificate PEM data"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := testConfig(away{}, nil)
			c.TLSCertFile, c.TLSKeyFile = test.cert, test.key
			err := c.Validate()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
