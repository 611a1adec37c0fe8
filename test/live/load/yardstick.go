package main

import (
	"bytes"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/billyronks/couchestor/test/budget"
)

// yardstick measures how long this machine, now, takes for the bare token scan of a
// request's JSON by encoding/json, so that CPU times can be told as multiples of it.
type yardstick struct {
	text []byte

	mu sync.Mutex
	// perByte are the CPU seconds, one for each look.
	perByte []float64
}

// yardstickBytes is enough to be steady and little enough not to be in the way.
const yardstickBytes = 2 << 20

// newYardstick scans as many of the objects as make a fair sample.
func newYardstick(lists ...[]*entry) *yardstick {
	y := new(yardstick)
	var b bytes.Buffer
	b.WriteString("{")
	for i := 0; b.Len() < yardstickBytes; i++ {
		more := false
		for _, list := range lists {
			if i < len(list) {
				more = true
				if b.Len() > 1 {
					b.WriteString(",")
				}
				b.Write(list[i].member)
			}
		}
		if !more {
			break
		}
	}
	b.WriteString("}")
	y.text = b.Bytes()
	return y
}

// look scans once, in CPU time of this thread, in which others do not count.
func (y *yardstick) look() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadCPU()
	budget.TokenScan(y.text)
	took := threadCPU() - before
	y.mu.Lock()
	defer y.mu.Unlock()
	y.perByte = append(y.perByte, took.Seconds()/float64(len(y.text)))
}

// scan is how long the scan of so many bytes takes, by the median of all looks.
func (y *yardstick) scan(n int64) time.Duration {
	y.mu.Lock()
	defer y.mu.Unlock()
	all := slices.Sorted(slices.Values(y.perByte))
	return time.Duration(all[len(all)/2] * float64(n) * float64(time.Second))
}

// threadCPU is the CPU time of the calling thread.
func threadCPU() time.Duration {
	const rusageThread = 1
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
