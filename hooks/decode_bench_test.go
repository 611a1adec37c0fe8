package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// scanTokens is the yardstick: the bare token scan of encoding/json.
func scanTokens(tb testing.TB, body []byte) {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			tb.Fatal(err)
		}
	}
}

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
				start := time.Now()
				scanTokens(b, body)
				bare += time.Since(start)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(bare), "x-token-scan")
			b.ReportMetric(float64(len(body))/float64(n), "B/PV")
		})
	}
}
