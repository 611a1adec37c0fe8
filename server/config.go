package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/common/config"
	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/tiering"
)

// Config is all that the service depends on. [Config.Validate] tells all its
// faults at once.
type Config struct {
	// ListenAddress is host:port of the hooks, OpsAddress that of health and
	// metrics. Port 0 takes any that is free.
	ListenAddress, OpsAddress string
	// TLSCertFile and TLSKeyFile have the hooks answer with TLS; both empty means
	// plain HTTP. Health and metrics are plain in any case.
	TLSCertFile, TLSKeyFile string

	// PrometheusURL is the server's, with http or https. PrometheusHTTP has its
	// credentials and certificates; nil means none.
	PrometheusURL  string
	PrometheusHTTP *config.HTTPClientConfig
	// PrometheusTransport replaces the network and PrometheusHTTP if it is not nil.
	PrometheusTransport http.RoundTripper
	// PrometheusTimeout bounds one reading: the queries of one window.
	PrometheusTimeout time.Duration
	// ScrapeInterval is how often Prometheus scrapes Mayastor's exporters.
	ScrapeInterval time.Duration

	// Mayastor says where the control plane is and how to speak to it; only
	// reads are made with it.
	Mayastor mayastor.Config
	// MayastorVersion is the operator's word for the server's version; empty
	// vouches for nothing.
	MayastorVersion string

	// GovernancePath is the directory or file of the governance configuration;
	// empty means that there is none.
	GovernancePath string

	// CacheTTL is how long what was read is used without reading again.
	CacheTTL time.Duration
	// Kubernetes reaches the cluster whose volumes are read here; nil means that
	// they come with each request. Claims reads claims, for their labels.
	Kubernetes *rest.Config
	Claims     bool

	// Hooks makes the handler of the hooks from what the server has for it.
	Hooks func(Parts) (http.Handler, error)

	// Log must not be nil. Audit gets the audit trail; nil is silent.
	Log, Audit *slog.Logger
}

// Parts are what the hooks need of the server.
type Parts struct {
	Sources hooks.Sources
	// Cluster is nil if volumes come with each request.
	Cluster hooks.Cluster
	// Ready reports whether each source was tried once, and if not, what is
	// waited for.
	Ready    func() (ok bool, waiting string)
	Observer hooks.Observer
	// Governance returns what is in force; nil if none is configured.
	Governance func() *tiering.Governed
}

// mayastorTimeout bounds one reading of the control plane. It has room for
// several requests of 10 s, the client's own limit.
const mayastorTimeout = 30 * time.Second

// Validate returns every fault, each a sentence with what to do, or nil.
func (c Config) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	address := func(flag, value string) {
		_, port, err := net.SplitHostPort(value)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		fault(err != nil, "--%s %q is not host:port; give one such as :8080", flag, value)
	}
	address("listen-address", c.ListenAddress)
	address("ops-address", c.OpsAddress)
	fault(c.ListenAddress == c.OpsAddress && !anyPort(c.ListenAddress),
		"--listen-address and --ops-address are both %q; give each its own port", c.ListenAddress)

	if err := c.tlsFault(); err != nil {
		faults = append(faults, err)
	}

	fault(webAddress(c.PrometheusURL) != nil, "--prometheus-url: %v; give one such as http://prometheus:9090", webAddress(c.PrometheusURL))
	fault(c.PrometheusTimeout < time.Second, "--prometheus-timeout is %s; give at least 1s", c.PrometheusTimeout)
	fault(c.ScrapeInterval < 100*time.Millisecond || c.ScrapeInterval > time.Hour,
		"--scrape-interval is %s; give the interval at which Prometheus scrapes Mayastor's exporter, from 100ms to 1h", c.ScrapeInterval)
	fault(c.ScrapeInterval%time.Millisecond != 0, "--scrape-interval %s has parts of a millisecond, which Prometheus does not know; leave them out", c.ScrapeInterval)
	fault(c.CacheTTL < 100*time.Millisecond || c.CacheTTL > 10*time.Minute, "--cache-ttl is %s; give one from 100ms to 10m", c.CacheTTL)

	if _, err := mayastor.NewReader(c.Mayastor); err != nil {
		faults = append(faults, fmt.Errorf("--mayastor-url: %w; give one such as http://mayastor-api-rest:8081", err))
	}
	return errors.Join(faults...)
}

// anyPort reports whether the address leaves the choice of its port open.
func anyPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	return err == nil && port == "0"
}

// webAddress says what is wrong with the address of a web server.
func webAddress(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		// The text of err would repeat the whole address, password and all.
		return errors.New("it cannot be parsed")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q is not of the form http://host:port", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q has a query or a fragment", u.Redacted())
	}
	return nil
}

// prometheusLimits and mayastorLimits bound the readings of the two sources.
func (c Config) prometheusLimits() world.Limits {
	return world.Limits{TTL: c.CacheTTL, Timeout: c.PrometheusTimeout}
}

func (c Config) mayastorLimits() world.Limits {
	return world.Limits{TTL: c.CacheTTL, Timeout: mayastorTimeout}
}
