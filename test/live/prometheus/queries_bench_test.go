package prometheus

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/billyronks/couchestor/server/world"
)

// BenchmarkQueries asks each question for 10 000 volumes on 50 nodes over one
// hour, through HTTP and the client library as the product does. The samples
// that the engine holds at once are reported beside the time; a Prometheus
// refuses a query that needs more than 50 million.
func BenchmarkQueries(b *testing.B) {
	const volumes, nodes = 10_000, 50
	for _, every := range []time.Duration{15 * time.Second, time.Minute} {
		p := start(b, Config{})
		for i := range volumes {
			node := strconv.Itoa(i % nodes)
			seen{
				from: time.Hour + 5*time.Minute, every: every,
				phase:  time.Duration(1+i%nodes) * every / (nodes + 1),
				labels: label("node", "node-"+node, "instance", "10.0.0."+node+":9502", "pod", "io-engine-"+node),
			}.feed(b, p, fmt.Sprintf("pvc-%08x-7c5a-4b1e-9d3f-0123456789ab", i), epoch)
		}
		query := product(time.Hour, time.Minute)
		for _, q := range []struct{ name, expr string }{
			{"score", query.score},
			{"coverage of " + world.ReadOps, query.reads},
		} {
			b.Run(fmt.Sprintf("scraped every %s/%s", every, q.name), func(b *testing.B) {
				c, err := api.NewClient(api.Config{Address: p.URL()})
				must(b, err)
				for b.Loop() {
					v, _, _, err := apiv1.NewAPI(c).Query(b.Context(), q.expr, epoch)
					must(b, err)
					if n := len(v.(model.Vector)); n != volumes {
						b.Fatalf("%d volumes in the answer, want %d", n, volumes)
					}
				}
				b.ReportMetric(float64(peak(b, p, q.expr)), "samples-held")
			})
		}
	}
}

// peak is how many samples the engine holds at once to answer the query.
func peak(b *testing.B, p *Prometheus, expr string) int {
	b.Helper()
	q, err := p.core.engine.NewInstantQuery(b.Context(), p.core.db, nil, expr, epoch)
	must(b, err)
	defer q.Close()
	must(b, q.Exec(b.Context()).Err)
	return q.Stats().Samples.PeakSamples
}
