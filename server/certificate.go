package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
)

// certificate is that of the hooks. Its files are read at each handshake, of
// which there are few as Metacontroller keeps its connections: a renewed one is
// used without a restart and without a watch that could miss it. What cannot be
// read or does not fit together, as while both files are being replaced, is
// logged, and the last good one stays.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu sync.Mutex
	// cert and key are the texts that were seen last, good or not.
	cert, key []byte
	current   *tls.Certificate
}

// loadCertificate reads the files, which must hold a certificate in PEM form,
// with those that lead to its authority after it, and its key.
func loadCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// read takes over what the files hold if it is new. It is called under the lock.
func (c *certificate) read() error {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return fmt.Errorf("--tls-cert-file: %w", err)
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return fmt.Errorf("--tls-key-file: %w", err)
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return nil
	}
	c.cert, c.key = cert, key
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("--tls-cert-file %s with --tls-key-file %s: %w", c.certFile, c.keyFile, err)
	}
	c.current = &pair
	return nil
}

// get is for [tls.Config.GetCertificate].
func (c *certificate) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.current
	switch err := c.read(); {
	case err != nil:
		c.log.WarnContext(hello.Context(), "certificate of the hooks was not renewed", slog.Any("err", err))
	case c.current != before:
		c.log.InfoContext(hello.Context(), "certificate of the hooks was renewed")
	}
	return c.current, nil
}

// wrap has the listener speak TLS 1.2 or newer, and HTTP/1.1 as without it.
func (c *certificate) wrap(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"},
	})
}

// tlsFault says what is wrong with the files of the configuration, or nil.
func (c Config) tlsFault() error {
	switch {
	case c.TLSCertFile == "" && c.TLSKeyFile == "":
		return nil
	case c.TLSCertFile == "" || c.TLSKeyFile == "":
		return errors.New("--tls-cert-file and --tls-key-file go together; give both, or neither for plain HTTP")
	}
	_, err := loadCertificate(c.TLSCertFile, c.TLSKeyFile, c.Log)
	return err
}
