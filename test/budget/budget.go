// Package budget has what tests and benchmarks tell budgets in: the bytes that the
// heap holds, and the bare token scan of encoding/json.
package budget

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"runtime"
	"time"
)

// Heap is what is held, in bytes, once collections free nothing more. What other
// tests left takes more than one to go: a sync.Pool gives up what it keeps at the
// second.
func Heap() int64 {
	var m runtime.MemStats
	for last := uint64(math.MaxUint64); ; last = m.HeapAlloc {
		runtime.GC()
		runtime.ReadMemStats(&m)
		if m.HeapAlloc+1<<10 > last {
			return int64(m.HeapAlloc)
		}
	}
}

// TokenScan reads JSON as bare tokens and returns how long that took: the floor that
// reading the same text, in the same run, is compared with. It panics if the text is
// no JSON, as that is the test's own.
func TokenScan(text []byte) time.Duration {
	start := time.Now()
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return time.Since(start)
		} else if err != nil {
			panic(err)
		}
	}
}
