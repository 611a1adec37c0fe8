package tiering

import (
	"fmt"
	"math"
	"unique"
)

// Sample is how busy one volume was over the policy's window. The zero value
// is unknown, and unknown holds the volume where it is: only [NewSample] makes
// a known one, and it takes no number that is not one.
type Sample struct {
	iops     float64
	coverage float64
	known    bool
	// why is that of one that is not; the zero value where nothing is said.
	why unique.Handle[string]
}

// NewSample returns a known sample: the average IOPS over the window, and the
// percentage of the window in which both counters had samples. It refuses NaN,
// infinities and negative numbers; coverage beyond 100 counts as 100.
func NewSample(iops, coveragePercent float64) (Sample, error) {
	switch {
	case math.IsNaN(iops) || math.IsInf(iops, 0) || iops < 0:
		return Sample{}, fmt.Errorf("score of %v IOPS is not a finite number from 0", iops)
	case math.IsNaN(coveragePercent) || math.IsInf(coveragePercent, 0) || coveragePercent < 0:
		return Sample{}, fmt.Errorf("coverage of %v %% is not a finite number from 0", coveragePercent)
	}
	return Sample{iops: iops, coverage: min(coveragePercent, 100), known: true}, nil
}

// UnknownSample returns a sample that holds its volume, and says why the score
// is not known.
func UnknownSample(why string) Sample {
	if why == "" {
		return Sample{}
	}
	return Sample{why: unique.Make(why)}
}

// Known reports whether there is a score at all. Whether its coverage is
// enough is for the policy to say.
func (s Sample) Known() bool { return s.known }

// IOPS is the score, finite and not negative; 0 while unknown.
func (s Sample) IOPS() float64 { return s.iops }

// Coverage is a percentage from 0 to 100; 0 while unknown.
func (s Sample) Coverage() float64 { return s.coverage }

// Why is a sentence that says why the score is unknown; empty when it is known.
func (s Sample) Why() string {
	switch {
	case s.known:
		return ""
	case s.why == unique.Handle[string]{}:
		return "Prometheus has no sample of this volume"
	}
	return s.why.Value()
}
