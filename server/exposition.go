package server

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// exposition sends the metrics of one scrape. Labels are in the order of the
// table.
type exposition struct {
	ch    chan<- prometheus.Metric
	descs map[string]*prometheus.Desc
}

func (x exposition) gauge(name string, v float64, labels ...string) {
	x.ch <- prometheus.MustNewConstMetric(x.descs[name], prometheus.GaugeValue, v, labels...)
}

func (x exposition) counter(name string, v float64, labels ...string) {
	x.ch <- prometheus.MustNewConstMetric(x.descs[name], prometheus.CounterValue, v, labels...)
}

// summary is a sum and how many it is of.
func (x exposition) summary(name string, of uint64, sum float64, labels ...string) {
	x.ch <- prometheus.MustNewConstSummary(x.descs[name], of, sum, nil, labels...)
}

// text is a label's value: what is no UTF-8 must not cost the whole scrape.
func text(s string) string { return strings.ToValidUTF8(s, "?") }

// count is 1 for what holds.
func count(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
