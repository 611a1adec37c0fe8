package tiering

import (
	"math"
	"testing"
)

func TestNewSampleRefusesWhatIsNoNumber(t *testing.T) {
	bad := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, -math.SmallestNonzeroFloat64}
	for _, n := range bad {
		if s, err := NewSample(n, 100); err == nil || s.Known() {
			t.Errorf("IOPS %v: got %+v, want an error and an unknown sample", n, s)
		}
		if s, err := NewSample(100, n); err == nil || s.Known() {
			t.Errorf("coverage %v: got %+v, want an error and an unknown sample", n, s)
		}
	}
}

func TestSampleKeepsItsNumbers(t *testing.T) {
	s, err := NewSample(12.5, 87)
	if err != nil || !s.Known() || s.IOPS() != 12.5 || s.Coverage() != 87 || s.Why() != "" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestCoverageBeyondTheWindowCountsAsAllOfIt(t *testing.T) {
	s, err := NewSample(1, 130)
	if err != nil || s.Coverage() != 100 {
		t.Errorf("got %v, %v, want 100", s.Coverage(), err)
	}
}

func TestUnknownIsTheZeroSample(t *testing.T) {
	var zero Sample
	if zero.Known() || zero.IOPS() != 0 || zero.Coverage() != 0 {
		t.Errorf("got %+v, want unknown", zero)
	}
	if zero.Why() == "" {
		t.Error("an unknown sample does not say why")
	}
	if got := UnknownSample("reads are there and writes are not"); got.Known() || got.Why() != "reads are there and writes are not" {
		t.Errorf("got %+v", got)
	}
}
