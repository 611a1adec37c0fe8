package rig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority issues the certificates of one control plane. They are valid for
// days around now, so that a program whose clock jumps can still use them.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	// pem is the certificate that servers and clients trust.
	pem []byte
}

func newAuthority() (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := lifetime()
	template.Subject.CommonName = "rig"
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key, pem: certPEM(der)}, nil
}

// pool trusts the authority and nobody else.
func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// lifetime is a template with nothing but a serial number and dates.
func lifetime() *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // the reader cannot fail
	return &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    time.Now().Add(-7 * 24 * time.Hour),
		NotAfter:     time.Now().Add(30 * 24 * time.Hour),
	}
}

// ServiceAddress is where pods find the API server: the address of the service
// kubernetes, on port 443.
const ServiceAddress = "10.0.0.1"

// server is the certificate of a server on loopback, and of that service.
func (a *authority) server() (cert, key []byte, err error) {
	t := lifetime()
	t.Subject.CommonName = "kube-apiserver"
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(ServiceAddress)}
	t.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	return a.issue(t)
}

// client is the certificate of a user: common name and organizations are what
// Kubernetes takes for its name and groups.
func (a *authority) client(user string, groups ...string) (cert, key []byte, err error) {
	t := lifetime()
	t.Subject = pkix.Name{CommonName: user, Organization: groups}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(t)
}

func (a *authority) issue(t *x509.Certificate) (cert, key []byte, err error) {
	k, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, k.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("issue a certificate to %s: %w", t.Subject.CommonName, err)
	}
	key, err = keyPEM(k)
	return certPEM(der), key, err
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(k *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// files writes what the API server reads: its certificate, the authority, and
// the keys of service account tokens.
func (a *authority) files(dir string) error {
	cert, key, err := a.server()
	if err != nil {
		return err
	}
	signer, err := newKey()
	if err != nil {
		return err
	}
	token, err := keyPEM(signer)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	for name, text := range map[string][]byte{
		"ca.crt": a.pem, "server.crt": cert, "server.key": key, "tokens.key": token, "tokens.pub": public,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
