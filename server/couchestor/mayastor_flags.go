package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/billyronks/couchestor/mayastor"
)

// defaultMayastorURL is the service of the chart's release mayastor (MS 1.1).
const defaultMayastorURL = "http://mayastor-api-rest.mayastor.svc.cluster.local:8081"

// mayastorFlags say how to reach Mayastor's REST API.
type mayastorFlags struct {
	url, version, tokenFile, caFile string
}

func (m *mayastorFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&m.url, "mayastor-url", defaultMayastorURL, "Mayastor's REST API")
	f.StringVar(&m.version, "mayastor-version", "", "version of Mayastor as you vouch for it; needed below 2.10, where the API does not show what can be steered")
	f.StringVar(&m.tokenFile, "mayastor-token-file", "", "file with a bearer token for Mayastor's REST API; read again for each request")
	f.StringVar(&m.caFile, "mayastor-ca-file", "", "file with the CA certificates that Mayastor's REST API is checked against")
}

// config returns the client's configuration, or every fault of the flags.
func (m *mayastorFlags) config() (mayastor.Config, error) {
	cfg := mayastor.Config{URL: m.url}
	var errs []error
	if m.tokenFile != "" {
		read := func(context.Context) (string, error) {
			token, err := os.ReadFile(m.tokenFile)
			return strings.TrimSpace(string(token)), err
		}
		if _, err := read(context.Background()); err != nil {
			errs = append(errs, fmt.Errorf("--mayastor-token-file: %w", err))
		}
		cfg.Token = read
	}
	if m.caFile != "" {
		pem, err := os.ReadFile(m.caFile)
		roots := x509.NewCertPool()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("--mayastor-ca-file: %w", err))
		case !roots.AppendCertsFromPEM(pem):
			errs = append(errs, fmt.Errorf("--mayastor-ca-file: %s holds no certificate in PEM form", m.caFile))
		default:
			cfg.HTTP = &http.Client{Transport: &http.Transport{
				Proxy:               http.ProxyFromEnvironment,
				TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout: 10 * time.Second,
				IdleConnTimeout:     90 * time.Second,
			}}
		}
	}
	return cfg, errors.Join(errs...)
}
