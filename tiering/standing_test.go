package tiering

import (
	"strings"
	"testing"
	"time"
)

// governed holds the policy to a governance that was read without faults.
func governed(t prover, data map[string]string) inputEdit {
	t.Helper()
	g := governance(t, data)
	return func(in *Input) { in.Governed = &Governed{Governance: g, Known: true, Source: Source{OK: true}} }
}

// free is a governance that asks for no dry run, with more keys.
func free(more ...string) map[string]string {
	data := map[string]string{keyNewPolicyDryRun: "0s", keyThresholdChangeDryRun: "0s"}
	for i := 0; i < len(more); i += 2 {
		data[more[i]] = more[i+1]
	}
	return data
}

func frozenUntil(at time.Time) []string {
	return []string{keyFreezeUntil, at.Format(time.RFC3339), keyFreezeReason, "year end."}
}

func TestStandings(t *testing.T) {
	frozen := frozenUntil(noon().Add(time.Hour))
	outside := []string{"highWatermarkIOPS.max", "4999"}
	lost := func(in *Input) {
		in.Governed = &Governed{Source: Source{Reason: "Faults", Message: "limit.move is no key of the governance configuration."}}
	}
	tests := []struct {
		name  string
		input []inputEdit
		phase Phase
		mode  string
		ready string
		says  string
		act   Act
		opens time.Time
	}{
		{name: "governance that asks for nothing lets it act", input: inp(governed(t, free())), phase: PhaseActive, mode: "Active", ready: "Active", act: Move},
		{
			name: "a freeze holds", input: inp(governed(t, free(frozen...))), phase: PhaseActive, mode: "Frozen", ready: "Frozen",
			says: "until 2026-11-23T13:00:00Z (year end)", opens: noon().Add(time.Hour),
		},
		{name: "a freeze that ends in a second holds", input: inp(governed(t, free(frozenUntil(noon().Add(time.Second))...))), phase: PhaseActive, mode: "Frozen", ready: "Frozen", opens: noon().Add(time.Second)},
		{name: "a freeze that has just ended does not", input: inp(governed(t, free(frozenUntil(noon())...))), phase: PhaseActive, mode: "Active", ready: "Active", act: Move},
		{name: "a dry run goes on in a freeze", input: inp(governed(t, free(frozen...)), serviceDryRun), phase: PhaseDryRun, mode: "Frozen", ready: "Frozen", act: WouldMove},
		{name: "a disabled policy in a freeze says that it is disabled", input: inp(governed(t, free(frozen...)), with(disabled)), phase: PhaseDisabled, mode: "Disabled", ready: "Disabled", opens: time.Time{}},
		{
			name: "the emergency stop holds", input: inp(governed(t, free(keyStop, "true", keyStopReason, "array burns"))), phase: PhaseActive, mode: "Stopped",
			ready: "EmergencyStop", says: "(array burns): nothing starts, and moves that run bring their volume to a safe end",
		},
		{name: "the emergency stop stands above a freeze", input: inp(governed(t, free(append(frozen, keyStop, "true")...))), phase: PhaseActive, mode: "Stopped", ready: "EmergencyStop"},
		{name: "a dry run goes on under the emergency stop", input: inp(governed(t, free(keyStop, "true")), with(dryRun)), phase: PhaseDryRun, mode: "Stopped", ready: "EmergencyStop", act: WouldMove},
		{
			name: "a field outside its range holds", input: inp(governed(t, free(outside...))), phase: PhaseError, mode: "Rejected", ready: "OutsideApprovedRanges",
			says: "Outside of what is approved: spec.highWatermarkIOPS is 5000 and the approved range is at most 4999. Nothing new starts",
		},
		{name: "an exception lets it act", input: inp(governed(t, free(append(outside, "exception.highWatermarkIOPS.gold", "CHG-7")...))), phase: PhaseActive, mode: "Active", ready: "Active", act: Move},
		{name: "another policy's exception does not", input: inp(governed(t, free(append(outside, "exception.highWatermarkIOPS.silver", "CHG-7")...))), phase: PhaseError, mode: "Rejected", ready: "OutsideApprovedRanges"},
		{name: "what is rejected is not shown as a dry run", input: inp(governed(t, free(outside...)), with(dryRun)), phase: PhaseError, mode: "Rejected", ready: "OutsideApprovedRanges"},
		{name: "governance that was never read holds", input: inp(lost), phase: PhaseActive, mode: "Waiting", ready: "GovernanceUnknown", says: "see the condition GovernanceAccepted"},
		{name: "governance that was never read holds a dry run too", input: inp(lost, with(dryRun)), phase: PhaseDryRun, mode: "Waiting", ready: "GovernanceUnknown"},
		{name: "being deleted stands above all", input: inp(governed(t, free(keyStop, "true")), finalizing), phase: PhaseActive, mode: "Deleting", ready: "Deleting"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, d := one(t, volume("v"), test.input...)
			s := p.Status(StoragePolicyStatus{})
			ready := find(&s, ConditionReady)
			if s.Phase != test.phase || s.Mode != test.mode || ready.Reason != test.ready {
				t.Errorf("got phase %s, mode %s, ready %s; want %s, %s, %s", s.Phase, s.Mode, ready.Reason, test.phase, test.mode, test.ready)
			}
			if !strings.Contains(s.ModeReason, test.says) {
				t.Errorf("mode says %q, want %q in it", s.ModeReason, test.says)
			}
			if d.Act != test.act || !d.Held.OpensAt.Equal(test.opens) {
				t.Errorf("got %s (%s) that opens at %v, want %s at %v", d.Act, d.Held.Sentence(), d.Held.OpensAt, test.act, test.opens)
			}
			if test.act == Hold && d.Held.Gate != GateMode && s.Mode != "Disabled" {
				t.Errorf("held by %q, want mode", d.Held.Gate)
			}
		})
	}
}

// Whatever the operators decide, what runs is shown, and what an attempt left
// behind is cleaned up.
func TestNoStandingTouchesJobsThatRunOrRecoveries(t *testing.T) {
	standings := map[string][]inputEdit{
		"stopped":  inp(governed(t, free(keyStop, "true"))),
		"frozen":   inp(governed(t, free(frozenUntil(noon().Add(time.Hour))...))),
		"rejected": inp(governed(t, free("minCoverage.max", "60"))),
		"unknown":  inp(func(in *Input) { in.Governed = &Governed{} }),
		"paused":   inp(with(func(s *StoragePolicySpec) { s.PausePromotions, s.PauseDemotions = new(true), new(true) })),
	}
	for name, edits := range standings {
		t.Run(name, func(t *testing.T) {
			volumes := []Volume{
				volume("left", attempt(Attempt{N: 3, Policy: "gold", State: AttemptStarted, At: ago(time.Hour)})),
				volume("runs", live(LiveJob{Name: "j", Policy: "gold", From: Cold, To: Hot})),
				volume("waits"),
			}
			p := decide(t, input(t, volumes, edits...))
			for i, want := range []Act{Recover, Moving, Hold} {
				if got := p.Decisions[i].Act; got != want {
					t.Errorf("%s: %s, want %s", p.Decisions[i].Volume.Name, got, want)
				}
			}
		})
	}
}

func TestAFreezeThatEndsWakesThePolicy(t *testing.T) {
	p, _ := one(t, volume("v"), governed(t, free(frozenUntil(noon().Add(90*time.Second))...)))
	if got := p.NextLook(noon()); got != 90*time.Second {
		t.Errorf("next look in %s, want 1m30s", got)
	}
}

func TestPausesHoldOneDirection(t *testing.T) {
	up := func(s *StoragePolicySpec) { s.PausePromotions = new(true) }
	down := func(s *StoragePolicySpec) { s.PauseDemotions = new(true) }
	tests := []struct {
		name   string
		volume []volumeEdit
		pause  specEdit
		act    Act
		gate   Gate
	}{
		{"a paused promotion is held", vol(), up, Hold, GateMode},
		{"a demotion is not", vol(on("hot-1"), score(1)), up, Move, NoGate},
		{"a paused demotion is held", vol(on("hot-1"), score(1)), down, Hold, GateMode},
		{"a promotion is not", vol(), down, Move, NoGate},
		{"from warm to hot is a promotion", vol(on("warm-1"), score(9000)), up, Hold, GateMode},
		{"from hot to warm is a demotion", vol(on("hot-1"), score(3000)), down, Hold, GateMode},
		{"from cold to warm is a promotion", vol(on("cold-1"), score(3000)), up, Hold, GateMode},
		{"to finish a volume towards cold is a demotion", vol(on("hot-1", "cold-1"), score(1)), down, Hold, GateMode},
		{"to finish a volume towards hot is a promotion", vol(on("hot-1", "cold-1"), score(9000)), up, Hold, GateMode},
		{"from no tier to cold is a demotion", vol(on("spare"), score(1)), down, Hold, GateMode},
		{"from no tier to hot is a promotion", vol(on("spare"), score(9000)), up, Hold, GateMode},
		{"a volume that is where it belongs stays", vol(on("hot-1"), score(9000)), up, Stay, GateBand},
		{"a volume whose score is unknown is unknown", vol(unknown), up, Hold, GateCoverage},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, d := one(t, volume("v", test.volume...), with(withWarm, test.pause))
			if d.Act != test.act || d.Held.Gate != test.gate {
				t.Errorf("got %s by gate %q, want %s by %q", d.Act, d.Held.Gate, test.act, test.gate)
			}
			if s := p.Status(StoragePolicyStatus{}); test.gate == GateMode && (len(s.Plan) != 1 || !strings.Contains(s.Plan[0].Reason, "are paused; a move needs spec.pause")) {
				t.Errorf("the plan does not say so: %+v", s.Plan)
			}
		})
	}
}

func TestGovernanceAcceptedSaysWhatIsInForce(t *testing.T) {
	g := governance(t, free("exception.priority.gold", "CHG-7"))
	bad := Source{Reason: "Faults", Message: "limit.move is no key."}
	tests := []struct {
		name     string
		governed *Governed
		status   string
		says     string
	}{
		{"nothing where there is none", nil, "", ""},
		{"a good one", &Governed{Governance: g, Known: true, Source: Source{OK: true}}, "True Accepted", "is in force. This policy has exceptions from approved ranges: spec.priority (CHG-7)."},
		{"a bad one after a good one", &Governed{Governance: g, Known: true, Source: bad}, "False Faults", "limit.move is no key. The last good one stays in force"},
		{"a bad one at the start", &Governed{Source: bad}, "False Faults", "limit.move is no key. No good one was read before, so nothing new starts"},
		{"one that says nothing of itself", &Governed{}, "False Unavailable", "cannot be read. No good one"},
		{"one that cannot be known and is good is not", &Governed{Source: Source{OK: true}}, "False Available", "No good one was read before"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, _ := one(t, volume("v"), func(in *Input) { in.Governed = test.governed })
			s := p.Status(StoragePolicyStatus{})
			got, says := "", ""
			if c := find(&s, ConditionGovernanceAccepted); c != nil {
				got, says = string(c.Status)+" "+c.Reason, c.Message
			}
			if got != test.status || !strings.Contains(says, test.says) {
				t.Errorf("got %s: %s; want %s: %s", got, says, test.status, test.says)
			}
		})
	}
}

func TestCapsOfTheGovernance(t *testing.T) {
	// Three volumes of one replica and 10 GiB each want to go from node-1.
	three := func() []Volume {
		return []Volume{volume("a", score(9000)), volume("b", score(8000)), volume("c", score(7000))}
	}
	bytes := func(n int64) []string { return []string{keyLimitBytes, whole(float64(n))} }
	tests := []struct {
		name    string
		caps    []string
		volumes []Volume
		moves   int
		says    string
	}{
		{"no cap but the service's", nil, three(), 3, ""},
		{"the governance's is lower than the service's", []string{keyLimitMoves, "2"}, three(), 2, "limit.moves is 2"},
		{"the service's is lower than the governance's", []string{keyLimitMoves, "25"}, three(), 3, ""},
		{"bytes that just fit", bytes(20 * gib), three(), 2, "limit.bytesInFlight is 21474836480"},
		{"a byte too many", bytes(20*gib - 1), three(), 1, "limit.bytesInFlight is 21474836479"},
		{"a move beyond the cap runs alone", bytes(1), three(), 1, "limit.bytesInFlight is 1"},
		{"moves to one pool", []string{keyLimitPerPool, "2"}, three(), 2, "limit.movesPerPool is 2"},
		{"moves from one node", []string{keyLimitPerNode, "1"}, three(), 1, "limit.movesPerNode is 1"},
		{"moves from other nodes are not counted", []string{keyLimitPerNode, "1"}, []Volume{volume("a"), volume("b", on("cold-2"))}, 2, ""},
		{"a replica that stays is not counted", bytes(20 * gib), []Volume{volume("a", on("hot-1", "cold-1")), volume("b", on("hot-2", "cold-2"))}, 2, ""},
		{
			"what runs is counted",
			[]string{keyLimitPerPool, "2"},
			append(three(), volume("run", live(LiveJob{Name: "j", Policy: "other", From: Cold, To: Hot, TargetPools: []string{"hot-2"}}))), 1, "limit.movesPerPool is 2",
		},
		{
			"a recovery takes no pool",
			[]string{keyLimitPerPool, "3"},
			append(three(), volume("run", live(LiveJob{Name: "j", Policy: "gold", Recovery: true}))), 3, "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			roomier := limits(func(l *Limits) { l.MaxConcurrentMigrations = 25 })
			p := decide(t, input(t, test.volumes, roomier, with(func(s *StoragePolicySpec) { s.MaxConcurrentMigrations = new(int64(25)) }), governed(t, free(test.caps...))))
			if got := len(p.Moves()); got != test.moves {
				t.Errorf("got %d moves, want %d", got, test.moves)
			}
			for i := range p.Decisions {
				if d := &p.Decisions[i]; d.Act == Hold && (d.Held.Gate != GateCaps || !strings.Contains(d.Held.Reason(), test.says)) {
					t.Errorf("%s is held by %s, want caps to say %q", d.Volume.Name, d.Held.Sentence(), test.says)
				}
			}
		})
	}
}
