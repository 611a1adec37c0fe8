package tiering

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

func manual(s *StoragePolicySpec) { s.Approval = new(ManualApproval) }

// board is a policy whose moves are approved, over time.
type board struct {
	t       prover
	now     time.Time
	spec    []specEdit
	input   []inputEdit
	volumes []Volume
	approve string
	// generation and uid are the policy's.
	generation int64
	uid        string
	status     StoragePolicyStatus
	plan       *Plan
}

func newBoard(t prover, volumes ...Volume) *board {
	return &board{t: t, now: noon(), spec: []specEdit{manual}, volumes: volumes, generation: 3, uid: "first"}
}

// look decides from the status that the last look left, and returns what starts.
func (b *board) look(after time.Duration) []string {
	b.t.Helper()
	b.now = b.now.Add(after)
	in := input(b.t, b.volumes, append([]inputEdit{with(b.spec...)}, b.input...)...)
	in.Now, in.Policy.Generation, in.Policy.UID, in.Approve = b.now, b.generation, b.uid, b.approve
	in.Limits.Settle = 0
	prev := b.status
	in.Previous = &prev
	b.plan = decide(b.t, in)
	b.status = reread(b.t, b.plan.Status(prev))
	return moves(b.plan)
}

// started has the volume's attempt begun, and ended, so that it may be tried
// again at once.
func (b *board) started(name string, pools ...string) {
	for i := range b.volumes {
		if v := &b.volumes[i]; v.Name == name {
			n := next(v)
			remember(v).Attempt = Attempt{N: n, Policy: "gold", State: AttemptMoved, At: b.now.Add(-time.Hour)}
			remember(v).LastN = n
			on(pools...)(v)
		}
	}
}

func (b *board) wants(step string, got []string, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("%s: starts (-want +got):\n%s%+v", step, diff, b.status.Proposal)
	}
}

// proposes checks the list of the proposal, "" for none.
func (b *board) proposes(step, want string) {
	b.t.Helper()
	got := ""
	if q := b.status.Proposal; q != nil {
		var all []string
		for _, m := range q.Moves {
			all = append(all, fmt.Sprintf("%s>%s#%d", m.VolumeName, m.ToTier, m.Attempt))
		}
		got = string(q.State) + " " + strings.Join(all, " ")
	}
	if got != want {
		b.t.Errorf("%s: proposal is %q, want %q", step, got, want)
	}
}

func (b *board) says(step, reason, text string) {
	b.t.Helper()
	c := find(&b.status, ConditionApproved)
	if c == nil || string(c.Status)+" "+c.Reason != reason || !strings.Contains(c.Message, text) {
		b.t.Errorf("%s: condition is %+v, want %s with %q", step, c, reason, text)
	}
}

func TestMovesStartOnceTheirProposalIsApproved(t *testing.T) {
	b := newBoard(t, volume("a", score(9000)), volume("b", score(8000)), volume("c", on("hot-1"), score(1)))
	b.wants("nobody approved", b.look(0))
	b.proposes("all wishes, beyond the caps", "Proposed a>hot#1 b>hot#1 c>cold#1")
	digest := b.status.Proposal.Digest
	b.says("it waits", "False AwaitingApproval", "Proposal "+digest+" of 3 moves waits until 2026-11-24T12:00:00Z. Look at status.proposal; to let its moves start, annotate the policy with storage.billyronks.io/approve: "+digest+".")
	if e := b.status.Plan[0]; e.Gate != "mode" || !strings.Contains(e.Reason, "which is not approved; a move needs the annotation storage.billyronks.io/approve: "+digest) {
		t.Errorf("the plan says %+v", e)
	}

	b.wants("for hours", b.look(23*time.Hour))
	b.approve = "0123456789abcdef"
	b.wants("another digest", b.look(time.Minute))
	b.says("another digest", "False DigestUnknown", `the digest "0123456789abcdef", which is not that of its proposal; nothing starts for it. Proposal `+digest)

	b.approve = digest
	b.volumes = append(b.volumes, volume("d", score(9999)))
	b.wants("approved, as far as the caps go", b.look(time.Minute), "a", "b")
	b.proposes("frozen", "Approved a>hot#1 b>hot#1 c>cold#1")
	b.says("approved", "True Approved", "may start until 2026-11-25T11:02:00Z")
	for _, e := range b.status.Plan {
		if e.VolumeName == "d" && !strings.Contains(e.Reason, "it is not in proposal "+digest) && !strings.Contains(e.Reason, "It is not in proposal "+digest) {
			t.Errorf("what is not in it is said to be held by %s", e.Reason)
		}
	}

	b.started("a", "hot-1")
	b.started("b", "hot-2")
	b.wants("the rest", b.look(time.Minute), "c")
	b.started("c", "cold-1")
	b.wants("all begun", b.look(time.Minute))
	b.proposes("the next one", "Proposed d>hot#1")
	b.says("the digest is used", "False DigestUsed", "Proposal "+b.status.Proposal.Digest)
	if b.status.LastProposal.Outcome != ProposalUsed || b.status.LastProposal.Digest != digest {
		t.Errorf("the last proposal is %+v", b.status.LastProposal)
	}
	b.wants("the old digest approves nothing more", b.look(time.Minute))
}

func TestAnApprovalIsForOneAttempt(t *testing.T) {
	b := newBoard(t, volume("a", score(9000)), volume("b", score(8000)))
	b.look(0)
	b.approve = b.status.Proposal.Digest
	b.wants("approved", b.look(time.Minute), "a", "b")
	// a was tried and did not move; it wishes to move as before.
	remember(&b.volumes[0]).Attempt = Attempt{N: 1, Policy: "gold", State: AttemptRefused, At: b.now.Add(-time.Hour)}
	remember(&b.volumes[0]).LastN = 1
	b.wants("a second attempt needs another approval", b.look(time.Minute), "b")
	b.started("b", "hot-1")
	b.wants("none is left", b.look(time.Minute))
	b.proposes("so it is proposed anew", "Proposed a>hot#2")
}

func TestAnApprovalTakenBackLetsNothingMoreStart(t *testing.T) {
	b := newBoard(t, volume("a"))
	b.look(0)
	b.approve = b.status.Proposal.Digest
	b.wants("approved", b.look(time.Minute), "a")
	expires := b.status.Proposal.ExpiresAt
	b.approve = ""
	b.wants("taken back", b.look(time.Hour))
	b.proposes("taken back", "Proposed a>hot#1")
	b.approve = b.status.Proposal.Digest
	b.wants("and given again", b.look(time.Hour), "a")
	if got := b.status.Proposal.ExpiresAt; !got.Equal(&expires) {
		t.Errorf("to give it again made it valid until %v, and it was until %v", got, expires)
	}
}

func TestProposalsExpire(t *testing.T) {
	b := newBoard(t, volume("a"))
	b.look(0)
	first := b.status.Proposal.Digest
	if got := b.plan.NextLook(b.now.Add(validFor - time.Minute)); got > 5*time.Minute {
		t.Errorf("next look in %s", got)
	}
	b.look(validFor - time.Second)
	if b.status.Proposal.Digest != first {
		t.Error("a second before its end another list was proposed")
	}
	b.approve = first
	b.wants("approved when it is just over", b.look(time.Second))
	b.says("over", "False DigestExpired", "expired at 2026-11-24T12:00:00Z; nothing starts for it. Proposal ")
	if b.status.Proposal.Digest == first {
		t.Error("the same digest was proposed again, with its approval on the policy")
	}
	second := b.status.Proposal.Digest
	b.approve = second
	b.wants("approved", b.look(time.Minute), "a")
	b.wants("a second before the end of an approval", b.look(validFor-time.Second), "a")
	b.wants("at its end", b.look(time.Second))
	if b.status.LastProposal.Outcome != ProposalExpired || b.status.LastProposal.Digest != second {
		t.Errorf("the last proposal is %+v", b.status.LastProposal)
	}
}

func TestAnApprovedMoveStillPassesTheOtherGates(t *testing.T) {
	for name, hold := range map[string]func(*board){
		"a freeze":  func(b *board) { b.input = inp(governed(b.t, free(frozenUntil(b.now.Add(time.Hour))...))) },
		"a stop":    func(b *board) { b.input = inp(governed(b.t, free(keyStop, "true"))) },
		"no scores": func(b *board) { b.input = inp(where(func(w *World) { w.Metrics = Source{} })) },
		"no pool": func(b *board) {
			b.input = inp(where(func(w *World) {
				w.pool("hot-1").UsedBytes = 10 * tib
				w.pool("hot-2").UsedBytes = 10 * tib
				w.pool("hot-3").UsedBytes = 10 * tib
			}))
		},
		"no caps":     func(b *board) { b.input = inp(limits(func(l *Limits) { l.MaxConcurrentMigrations = 0 })) },
		"a dead node": func(b *board) { b.input = inp(where(func(w *World) { w.node("node-1").Online = false })) },
		"a closed window": func(b *board) {
			b.input = inp(governed(b.t, free("maintenanceWindow.allow.night", "daily 22:00-23:00")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoard(t, volume("a"))
			b.look(0)
			b.approve = b.status.Proposal.Digest
			hold(b)
			b.wants(name, b.look(time.Minute))
			b.proposes(name, "Approved a>hot#1")
			b.input = nil
			b.wants("and then", b.look(time.Minute), "a")
		})
	}
}

func TestAProposalIsWithdrawn(t *testing.T) {
	for name, change := range map[string]func(*board){
		"another spec":             func(b *board) { b.generation++ },
		"a policy created anew":    func(b *board) { b.uid = "second" },
		"the wish is gone":         func(b *board) { score(1)(&b.volumes[0]) },
		"the volume is gone":       func(b *board) { b.volumes = nil },
		"the volume is deleted":    func(b *board) { b.volumes[0].Deleting = true },
		"the volume is not ours":   func(b *board) { b.volumes[0].StorageClass = "other" },
		"somebody else moved it":   func(b *board) { remember(&b.volumes[0]).LastN = 1 },
		"another policy has it":    func(b *board) { b.input = inp(rivalled(policy(b.t, "aaa"))) },
		"it wishes for other tier": func(b *board) { b.spec = append(b.spec, withWarm); score(3000)(&b.volumes[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoard(t, volume("a"))
			b.look(0)
			first := b.status.Proposal.Digest
			change(b)
			b.wants(name, b.look(time.Minute))
			if b.status.LastProposal == nil || b.status.LastProposal.Outcome != ProposalWithdrawn || b.status.LastProposal.Digest != first {
				t.Errorf("the last proposal is %+v", b.status.LastProposal)
			}
			if q := b.status.Proposal; q != nil && q.Digest == first {
				t.Error("it is proposed still")
			}
			b.approve = first
			b.wants("its digest", b.look(time.Minute))
			b.says("its digest", "False DigestWithdrawn", "was withdrawn at 2026-11-23T12:01:00Z")
		})
	}
}

func TestWhatCannotBeSeenWithdrawsNothing(t *testing.T) {
	for name, hide := range map[string]inputEdit{
		"no scores":   where(func(w *World) { w.Metrics = Source{} }),
		"no Mayastor": where(func(w *World) { w.Mayastor = Source{} }),
		"a freeze":    governed(t, free(frozenUntil(noon().Add(time.Hour))...)),
		"disabled":    with(manual, disabled),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoard(t, volume("a"))
			b.look(0)
			first := b.status.Proposal.Digest
			b.input = inp(hide)
			if name == "no scores" {
				b.volumes[0].Sample = Sample{}
			}
			b.look(time.Minute)
			if q := b.status.Proposal; q == nil || q.Digest != first {
				t.Errorf("the proposal became %+v", q)
			}
			fresh := newBoard(t, volume("a"))
			fresh.input = inp(hide)
			fresh.look(0)
			if fresh.status.Proposal != nil {
				t.Errorf("proposed %+v", fresh.status.Proposal)
			}
		})
	}
	b := newBoard(t, volume("a"), volume("b"))
	b.look(0)
	unknown(&b.volumes[0])
	unknown(&b.volumes[1])
	b.look(time.Minute)
	b.proposes("volumes whose scores are not known for now", "Proposed a>hot#1 b>hot#1")
}

func TestAProposalHoldsTwentyMovesAndWhatCapacityAllows(t *testing.T) {
	var many []Volume
	for i := range 30 {
		many = append(many, volume(fmt.Sprintf("v%02d", i), score(float64(6000+i))))
	}
	b := newBoard(t, many...)
	b.look(0)
	if q := b.status.Proposal; len(q.Moves) != mostProposed || q.Moves[0].VolumeName != "v29" {
		t.Errorf("got %d moves, the first of %s; want %d, the busiest first", len(q.Moves), q.Moves[0].VolumeName, mostProposed)
	}
	tight := newBoard(t, many...)
	tight.input = inp(where(func(w *World) {
		for i := range w.Pools {
			w.Pools[i].UsedBytes = 9*tib - 35*gib
		}
	}))
	tight.look(0)
	if q := tight.status.Proposal; len(q.Moves) != 3 {
		t.Errorf("got %d moves, want the 3 that fit together", len(q.Moves))
	}
}

func TestNothingIsProposedWhereNoneIsNeeded(t *testing.T) {
	for name, b := range map[string]*board{
		"no wish":         newBoard(t, volume("a", on("hot-1"))),
		"a dry run":       {t: t, now: noon(), spec: []specEdit{manual, dryRun}, volumes: []Volume{volume("a")}, generation: 3},
		"approval: Auto":  {t: t, now: noon(), volumes: []Volume{volume("a", on("hot-1"))}, generation: 3},
		"a Job that runs": newBoard(t, volume("a", live(LiveJob{Name: "j", Policy: "gold", From: Cold, To: Hot}))),
		"a pause":         {t: t, now: noon(), spec: []specEdit{manual, func(s *StoragePolicySpec) { s.PausePromotions = new(true) }}, volumes: []Volume{volume("a")}, generation: 3},
	} {
		t.Run(name, func(t *testing.T) {
			b.look(0)
			b.proposes(name, "")
			if c := find(&b.status, ConditionApproved); (c == nil) != (name == "approval: Auto") {
				t.Errorf("condition is %+v", c)
			}
		})
	}
	b := newBoard(t, volume("a"))
	b.look(0)
	b.spec = nil
	b.generation++
	b.wants("approval that is not asked for any more", b.look(time.Minute), "a")
	b.proposes("approval that is not asked for any more", "")
}

func TestAWindowIsNoReasonNotToPropose(t *testing.T) {
	b := newBoard(t, volume("a"))
	b.input = inp(governed(t, free("maintenanceWindow.allow.night", "daily 22:00-23:00")))
	b.wants("at noon", b.look(0))
	b.proposes("at noon", "Proposed a>hot#1")
	b.approve = b.status.Proposal.Digest
	b.wants("approved at noon", b.look(time.Minute))
	b.now = noon().Add(10 * time.Hour)
	b.wants("in the window", b.look(0), "a")
}

func TestTheStatusKeepsTheProposalWhileNothingChanges(t *testing.T) {
	b := newBoard(t, volume("a"))
	b.look(0)
	before := marshal(t, b.status)
	score(7000)(&b.volumes[0])
	b.look(5 * time.Minute)
	if after := marshal(t, b.status); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
	if s := ErrorStatus(b.status, b.now, 4, nil); !sameProposal(s.Proposal, b.status.Proposal) {
		t.Error("a policy with faults loses its proposal")
	}
	b.input = inp(finalizing)
	b.approve = b.status.Proposal.Digest
	b.wants("being deleted", b.look(time.Minute))
}

func TestTheDigestCoversTheList(t *testing.T) {
	q := func() *Proposal {
		return &Proposal{
			PolicyUID: "u", Generation: 3, ProposedAt: metav1.NewTime(noon()),
			Moves: []ProposedMove{{VolumeName: "a", FromTier: "cold", ToTier: "hot", Attempt: 1}, {VolumeName: "b", FromTier: "hot", ToTier: "cold", Attempt: 7}},
		}
	}
	seen := map[string]string{q().digest(): "the list itself"}
	for name, change := range map[string]func(*Proposal){
		"policy":      func(q *Proposal) { q.PolicyUID = "w" },
		"generation":  func(q *Proposal) { q.Generation = 4 },
		"time":        func(q *Proposal) { q.ProposedAt = metav1.NewTime(noon().Add(time.Second)) },
		"volume":      func(q *Proposal) { q.Moves[0].VolumeName = "c" },
		"tier":        func(q *Proposal) { q.Moves[0].ToTier = "warm" },
		"attempt":     func(q *Proposal) { q.Moves[1].Attempt = 8 },
		"fewer":       func(q *Proposal) { q.Moves = q.Moves[:1] },
		"order":       func(q *Proposal) { q.Moves[0], q.Moves[1] = q.Moves[1], q.Moves[0] },
		"one of both": func(q *Proposal) { q.Moves[0].VolumeName = `a" "hot" "1" ` },
	} {
		other := q()
		change(other)
		if was, ok := seen[other.digest()]; ok {
			t.Errorf("another %s has the digest of %s", name, was)
		}
		seen[other.digest()] = name
	}
	if got := q().digest(); len(got) != 16 {
		t.Errorf("digest %q is not 16 characters", got)
	}
}

// Whatever happens, a move starts only in an attempt that a digest on the policy
// approved, and no attempt is approved twice.
func TestNothingStartsWithoutItsApproval(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBoard(rt, volume("a"), volume("b", on("hot-1"), score(1)), volume("c", score(7000)))
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 6).Draw(rt, "event") {
			case 0:
				if b.status.Proposal != nil {
					b.approve = b.status.Proposal.Digest
				}
			case 1:
				b.approve = ""
			case 2:
				b.generation++
			case 3:
				i := rapid.IntRange(0, 2).Draw(rt, "volume")
				remember(&b.volumes[i]).LastN++
			case 4:
				i := rapid.IntRange(0, 2).Draw(rt, "volume")
				score(rapid.SampledFrom([]float64{1, 3000, 9000}).Draw(rt, "score"))(&b.volumes[i])
			case 5:
				b.status = StoragePolicyStatus{} // lost
			}
			before := b.status.Proposal
			carried := b.approve
			for _, name := range b.look(time.Duration(rapid.IntRange(0, 14).Draw(rt, "hours")) * time.Hour) {
				if before == nil || carried != before.Digest || !b.now.Before(before.ExpiresAt.Time) && before.ApprovedAt != nil {
					rt.Fatalf("%s starts with %q on the policy and the proposal %+v", name, carried, before)
				}
				i, _ := b.plan.Find(name)
				d := &b.plan.Decisions[i]
				if before.find(d.Volume, d.To) == nil {
					rt.Fatalf("%s starts towards %s and is not in %+v", name, d.To, before)
				}
			}
		}
	})
}
