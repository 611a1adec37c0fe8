package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a flag's number of bytes, written like 128MiB, 1.5GB or 4096.
type size int64

// The units, longest first among those with a common end.
var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
	{"", 1},
}

var errSize = errors.New("which is no size; give one such as 128MiB")

func (s *size) Set(text string) error {
	n, err := parseSize(text)
	if err != nil {
		return err
	}
	*s = size(n)
	return nil
}

func parseSize(text string) (int64, error) {
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || math.IsNaN(f) || f < 0 || f*u.bytes >= math.MaxInt64 {
			return 0, errSize
		}
		return int64(f * u.bytes), nil
	}
	return 0, errSize
}

func (s *size) String() string { return formatSize(int64(*s)) }
func (s *size) Type() string   { return "size" }

// formatSize prints n in the largest binary unit that leaves it whole.
func formatSize(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n > 0 && n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

// rate is a flag's number of bytes per second, written like 100MiB/s.
type rate int64

func (r *rate) Set(text string) error {
	n, err := parseSize(strings.TrimSuffix(text, "/s"))
	if err != nil {
		return errors.New("which is no rate; give one such as 100MiB/s")
	}
	*r = rate(n)
	return nil
}

func (r *rate) String() string { return formatSize(int64(*r)) + "/s" }
func (r *rate) Type() string   { return "rate" }
