package hooks

import (
	"fmt"
	"testing"
	"time"

	"github.com/billyronks/couchestor/test/budget"
)

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("%d PVs", n), func(b *testing.B) {
			body := crowd(n, true).body()
			var bare time.Duration
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decodeScene(b, body); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				bare += budget.TokenScan(body)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(bare), "x-token-scan")
			b.ReportMetric(float64(len(body))/float64(n), "B/PV")
		})
	}
}
