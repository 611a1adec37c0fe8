package tiering

import (
	"testing"
	"time"
)

func TestValuesInWords(t *testing.T) {
	tests := []struct {
		value Value
		want  string
	}{
		{Value{}, ""},
		{words("as it is"), "as it is"},
		{percent(80), "80 %"},
		{percent(31.27), "31.2 %"},
		{percent(79.9999), "79.9 %"}, // Never rounded up to what is enough.
		{percent(100), "100 %"},
		{fill("a", 90.05), "pool a would be 90 %"},
		{iops(1234.56), "1234.6 IOPS"},
		{iops(0), "0 IOPS"},
		{iops(1e9), "1000000000 IOPS"},
		{span(90 * time.Minute), "1h30m"},
		{span(24 * time.Hour), "24h"},
		{span(47*time.Hour + 59*time.Second), "47h59s"},
		{span(7 * 24 * time.Hour), "7d"},
		{span(50 * time.Hour), "2d2h"},
		{span(1500 * time.Millisecond), "2s"},
		{span(0), "0s"},
		{span(-time.Hour), "0s"},
		{instant("since", time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("x", 3600))), "since 2026-01-02T02:04:05Z"},
		{items(3, "snapshots"), "3 snapshots"},
		{items(1, "snapshots"), "1 snapshot"},
		{items(1, "moves of this policy"), "1 move of this policy"},
		{items(0, "moves of this policy"), "0 moves of this policy"},
		{unfinished(4, "db"), "attempt 4 of policy db"},
		{unfinished(4, ""), "attempt 4 of nobody known"},
		{setting("--max-concurrent-migrations", 2), "--max-concurrent-migrations is 2"},
		{priority("", -4), "priority -4"},
		{priority("db", 10), "policy db with priority 10"},
	}
	for _, test := range tests {
		if got := test.value.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
