package hooks

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

func TestOneLineForEachChangeAndNoneInSteadyState(t *testing.T) {
	var out bytes.Buffer
	r := newRig(t, func(c *Config) { c.Audit = slog.New(slog.NewTextHandler(&out, nil)) })
	r.volume(2)
	r.place(2, "hot-1", "hot-2")
	r.score(2, busy)
	says := func(step string, want ...string) {
		t.Helper()
		for range 2 {
			r.sync(t)
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if out.Len() == 0 {
				lines = nil
			}
			if len(lines) != len(want) {
				t.Errorf("%s: got %d lines %q, want %d", step, len(lines), lines, len(want))
			}
			for i := range min(len(lines), len(want)) {
				if !strings.Contains(lines[i], want[i]) {
					t.Errorf("%s: got %s, want it to say %s", step, lines[i], want[i])
				}
			}
			out.Reset()
			want = nil // The second time nothing changed.
		}
	}
	says("a volume wants to move, another stays", `msg="mode changed" action=mode_changed outcome=changed policy=db former_mode="" mode=Active`, `action=decision_changed outcome=started policy=db volume=pvc-`+uuid(1)+` volume_uuid=`+uuid(1)+` claim=shop/data-1 decision=Move from_tier=cold to_tier=hot trigger_iops=`)
	j := r.run(1, 1)
	says("its Job runs", "decision=Moving")
	r.remember(1, attempt(1, mayastor.Moved, noon))
	report(j, moved(1))
	r.place(1, "hot-3", "hot-4")
	says("its Job reported", `action=move_recorded outcome=moved move=`+nameJob(uuid(1), 1)+` policy=db`, "decision=Stay")
	r.keep()
	says("the status shows it")
	r.scores = tiering.Scores{}
	says("blind: no volume has a wish", "former_mode=Active mode=Blind")
	r.policy.at("spec")["minCoverage"] = 1
	says("a policy with faults decides nothing", "mode=Error")
}

func TestDecisionLogIsBounded(t *testing.T) {
	c := changes{log: slog.New(slog.DiscardHandler)}
	for i := range maxPolicies + 10 {
		c.decided(t.Context(), &round{policy: "p" + time.Duration(i).String(), before: &tiering.StoragePolicyStatus{}, after: &tiering.StoragePolicyStatus{}})
	}
	if len(c.last) > maxPolicies {
		t.Errorf("got %d policies remembered, want at most %d", len(c.last), maxPolicies)
	}
}
