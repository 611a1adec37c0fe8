package server

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/billyronks/couchestor/server/world"
)

// The hooks and the listeners, as values of a metric's label.
var (
	hookNames = []string{"sync", "finalize", "customize"}
	listeners = []string{"hooks", "ops"}
)

// hookCodes are the status codes that a hook answers with, so that each begins
// at zero.
var hookCodes = []int{
	http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests,
	http.StatusUnsupportedMediaType, http.StatusInternalServerError, http.StatusServiceUnavailable,
}

// metrics are the service's metrics, on a registry of their own.
type metrics struct {
	registry *prometheus.Registry

	hookRequests *prometheus.CounterVec
	hookSeconds  *prometheus.HistogramVec
	hookBytes    *prometheus.HistogramVec
	rejections   *prometheus.CounterVec
	panics       *prometheus.CounterVec

	queries      *prometheus.CounterVec
	querySeconds *prometheus.HistogramVec
	failures     *prometheus.CounterVec

	rounds *rounds
}

// newMetrics returns metrics with every label that is known in advance at zero.
func newMetrics(build Build) *metrics {
	m := &metrics{
		registry:     prometheus.NewRegistry(),
		hookRequests: counters("couchestor_hook_requests_total"),
		// Metacontroller gives up after 30 s.
		hookSeconds: histograms("couchestor_hook_request_duration_seconds",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}),
		// 1 KiB to 64 MiB.
		hookBytes:  histograms("couchestor_hook_request_size_bytes", prometheus.ExponentialBuckets(1<<10, 4, 9)),
		rejections: counters("couchestor_hook_rejections_total"),
		panics:     counters("couchestor_panics_total"),
		queries:    counters("couchestor_source_queries_total"),
		querySeconds: histograms("couchestor_source_query_duration_seconds",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}),
		failures: counters("couchestor_source_failures_total"),
		rounds:   newRounds(),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("couchestor_build_info")), metric("couchestor_build_info").Labels)
	info.WithLabelValues(build.Go, build.Revision, build.Version).Set(1)
	m.registry.MustRegister(
		m.hookRequests, m.hookSeconds, m.hookBytes, m.rejections, m.panics,
		m.queries, m.querySeconds, m.failures, m.rounds, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, hook := range hookNames {
		for _, code := range hookCodes {
			m.hookRequests.WithLabelValues(strconv.Itoa(code), hook)
		}
		m.hookSeconds.WithLabelValues(hook)
		m.hookBytes.WithLabelValues(hook)
		m.rejections.WithLabelValues(hook)
	}
	for _, listener := range listeners {
		m.panics.WithLabelValues(listener)
	}
	for _, source := range world.Sources() {
		m.queries.WithLabelValues(source)
		m.querySeconds.WithLabelValues(source)
		m.expect(source)
	}
	return m
}

// expect begins the failures of a source at zero.
func (m *metrics) expect(source string) {
	for _, reason := range world.Reasons() {
		m.failures.WithLabelValues(reason, source)
	}
}

// observer counts what the readers do.
func (m *metrics) observer() world.Observer {
	return world.Observer{
		Query: func(source string, took time.Duration, _ error) {
			m.queries.WithLabelValues(source).Inc()
			m.querySeconds.WithLabelValues(source).Observe(took.Seconds())
		},
		Reading: func(source, reason string) {
			if reason != "" {
				m.failures.WithLabelValues(reason, source).Inc()
			}
		},
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// sourceCollector shows how the sources are at the moment of the scrape.
type sourceCollector struct {
	states func() map[string]world.State
	up     *prometheus.Desc
	age    *prometheus.Desc
	fault  *prometheus.Desc
}

func newSourceCollector(states func() map[string]world.State) *sourceCollector {
	return &sourceCollector{
		states: states,
		up:     desc("couchestor_source_up"),
		age:    desc("couchestor_source_snapshot_age_seconds"),
		fault:  desc("couchestor_source_error"),
	}
}

func (c *sourceCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.up
	ch <- c.age
	ch <- c.fault
}

func (c *sourceCollector) Collect(ch chan<- prometheus.Metric) {
	for source, st := range c.states() {
		up, age := count(st.Up), math.Inf(1)
		if !st.Read.IsZero() {
			age = time.Since(st.Read).Seconds()
		}
		ch <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, up, source)
		ch <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, age, source)
		for _, reason := range world.Reasons() {
			ch <- prometheus.MustNewConstMetric(c.fault, prometheus.GaugeValue, count(reason == st.Reason), reason, source)
		}
	}
}

// objectCollector shows what is held of Kubernetes at the moment of the scrape.
type objectCollector struct {
	counts         func() (objects, lists map[string]int)
	objects, lists *prometheus.Desc
}

func newObjectCollector(counts func() (objects, lists map[string]int)) *objectCollector {
	return &objectCollector{
		counts:  counts,
		objects: desc("couchestor_kubernetes_objects"),
		lists:   desc("couchestor_kubernetes_lists_total"),
	}
}

func (c *objectCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.objects
	ch <- c.lists
}

func (c *objectCollector) Collect(ch chan<- prometheus.Metric) {
	objects, lists := c.counts()
	for kind, n := range objects {
		ch <- prometheus.MustNewConstMetric(c.objects, prometheus.GaugeValue, float64(n), kind)
		ch <- prometheus.MustNewConstMetric(c.lists, prometheus.CounterValue, float64(lists[kind]), kind)
	}
}

func opts(name string) prometheus.Opts {
	return prometheus.Opts{Name: name, Help: metric(name).Help}
}

func desc(name string) *prometheus.Desc {
	return prometheus.NewDesc(name, metric(name).Help, metric(name).Labels, nil)
}

func counters(name string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name)), metric(name).Labels)
}

func histograms(name string, buckets []float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: metric(name).Help, Buckets: slices.Clone(buckets),
	}, metric(name).Labels)
}
