package server

import (
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/tiering"
)

// lookEvery is the least time between two looks at the configuration, which is
// read whole each time: it is small, and there is no telling from its times
// whether a mounted ConfigMap was swapped.
const lookEvery = time.Second

// governance keeps what a cluster's governance configuration says, and reads it
// anew when it is asked and the last look is a while ago. A configuration that
// cannot be read, or has faults, leaves the last good one in force.
type governance struct {
	read  func() (map[string]string, error)
	audit *slog.Logger

	mu     sync.Mutex
	looked time.Time
	// data and failure are what the last look found.
	data    map[string]string
	failure string
	// good is the last one without faults, and current what is in force.
	good    tiering.Governance
	current *tiering.Governed
}

// newGovernance reads the configuration once.
func newGovernance(path string, audit *slog.Logger) *governance {
	g := &governance{read: func() (map[string]string, error) { return readGovernance(path) }, audit: audit}
	g.governed()
	return g
}

// governed returns what is in force. It is shared and must not be changed.
func (g *governance) governed() *tiering.Governed {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current == nil || time.Since(g.looked) >= lookEvery {
		g.looked = time.Now()
		g.look()
	}
	return g.current
}

func (g *governance) look() {
	data, err := g.read()
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	if g.current != nil && failure == g.failure && maps.Equal(data, g.data) {
		return
	}
	g.data, g.failure = data, failure
	next := &tiering.Governed{}
	if g.current != nil {
		*next = *g.current
	}
	if err != nil {
		// What stood there last stays, also a stop beside a fault.
		next.Source = rejected("Unreadable", "The governance configuration cannot be read: "+failure+".")
		g.take(next)
		return
	}
	read, faults := tiering.ParseGovernance(data)
	for _, zone := range tiering.ResolveZones(read.Windows, time.LoadLocation) {
		faults = append(faults, errors.New("a maintenance window names the time zone "+zone+", which is not known; write one of the IANA names, such as Europe/Berlin"))
	}
	if len(faults) > 0 {
		sentences := make([]string, len(faults))
		for i, f := range faults {
			sentences[i] = f.Error() + "."
		}
		next.Governance = read.Keeping(g.good)
		next.Source = rejected("Faults", "The governance configuration has faults: "+strings.Join(sentences, " "))
		g.take(next)
		return
	}
	g.good = read
	g.take(&tiering.Governed{Governance: read, Known: true, Source: tiering.Source{OK: true, Reason: "Accepted"}})
}

func rejected(reason, message string) tiering.Source {
	return tiering.Source{Reason: reason, Message: message}
}

// take puts a configuration in force and says so.
func (g *governance) take(next *tiering.Governed) {
	g.current = next
	hooks.AuditGovernance(g.audit, next)
}

// governanceCollector shows at the scrape whether the newest configuration is
// in force.
type governanceCollector struct {
	g        *governance
	accepted *prometheus.Desc
}

func newGovernanceCollector(g *governance) *governanceCollector {
	return &governanceCollector{g: g, accepted: desc("couchestor_governance_accepted")}
}

// Describe implements [prometheus.Collector].
func (c *governanceCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.accepted }

// Collect implements [prometheus.Collector].
func (c *governanceCollector) Collect(ch chan<- prometheus.Metric) {
	accepted := 0.0
	if c.g.governed().Source.OK {
		accepted = 1
	}
	ch <- prometheus.MustNewConstMetric(c.accepted, prometheus.GaugeValue, accepted)
}
