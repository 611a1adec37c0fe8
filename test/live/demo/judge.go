package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/driver"
)

// figures are the last line of the play.
type figures struct {
	Volumes int `json:"volumes"`
	// Moves are those that reached their tier, Failed those that did not.
	Moves  int `json:"moves"`
	Failed int `json:"failed"`
	// LostCopies is by how many synced copies volumes were below their number
	// of replicas at their worst instant, added up.
	LostCopies int `json:"lostCopies"`
	// MovedWhileBlind counts Jobs made and replica counts changed while
	// Prometheus was dark.
	MovedWhileBlind int     `json:"movedWhileBlind"`
	Seconds         float64 `json:"seconds"`
}

// report is the judgement.
type report struct {
	figures
	faults []string
}

// verdict is one line of the judgement.
type verdict struct {
	scenario, expected, truth string
	ok                        bool
}

// judge compares everything with the simulator's hidden truth.
func (s *stage) judge() *report {
	r := &report{figures: s.figures()}
	verdicts := s.verdicts(r.figures)

	s.voice.heading("What came of it",
		"The simulator knows what it never tells: where the data of each replica is, and how many copies were in sync at every instant.")
	head := func(text string) cell { return cell{text, faint} }
	widths := columns{33, 38, 38}
	s.voice.row(widths, head("SCENARIO"), head("EXPECTED"), head("HIDDEN TRUTH"), head("OK"))
	for _, v := range verdicts {
		mark := cell{"yes", good}
		if !v.ok {
			mark = cell{"NO", bad}
			r.faults = append(r.faults, v.scenario)
		}
		s.block(widths, v, mark)
	}
	s.voice.line("")
	return r
}

// block prints a verdict on as many lines as it takes.
func (s *stage) block(c columns, v verdict, mark cell) {
	parts := [][]string{wrap(v.scenario, c[0]), wrap(v.expected, c[1]), wrap(v.truth, c[2])}
	for i := range max(len(parts[0]), len(parts[1]), len(parts[2])) {
		cells := make([]cell, 0, len(parts)+1)
		for _, lines := range parts {
			text := ""
			if i < len(lines) {
				text = lines[i]
			}
			cells = append(cells, cell{text, plain})
		}
		if i > 0 {
			mark = cell{}
		}
		s.voice.row(c, append(cells, mark)...)
	}
}

func (s *stage) figures() figures {
	f := figures{Volumes: len(s.volumes)}
	for _, ended := range s.kubelet.ended() {
		if ended.State == mayastor.Moved {
			f.Moves++
		} else {
			f.Failed++
		}
	}
	for _, v := range s.volumes {
		f.LostCopies += max(0, len(v.pools)-s.sim.LowestSynced(v.uuid))
	}
	f.MovedWhileBlind = s.movedWhileBlind()
	return f
}

// movedWhileBlind counts from when the last reading of Prometheus was too old
// to act on.
func (s *stage) movedWhileBlind() (n int) {
	within := func(t time.Time) bool {
		return t.After(s.evidence.dark.Add(fresh)) && t.Before(s.evidence.light)
	}
	for _, call := range s.sim.Calls() {
		if call.Method != http.MethodGet && strings.Contains(call.Path, "replica_count") && within(call.At) {
			n++
		}
	}
	for _, started := range s.kubelet.started() {
		if within(started) {
			n++
		}
	}
	return n
}

// verdicts are the scenarios, in the order of the play.
func (s *stage) verdicts(f figures) []verdict {
	e := &s.evidence
	list := []verdict{
		s.patient(),
		s.reached("busy volume promoted", busy, "hot"),
		s.reached("idle volume demoted", idle, "cold"),
		s.stayed("volume in between left alone", middle, ""),
		s.reached("mixed volume finished", mixed, "hot"),
		s.reached("3 replicas moved one by one", triple, "hot"),
		s.reached("busy log volume: cold to warm", warming, "warm"),
		s.reached("idle log volume: warm to cold", cooling, "cold"),
		s.stayed("pinned by its topology", pinned, "route"),
		s.stayed("3 replicas, only 3 nodes allowed", crowded, "route"),
		s.stayed("unpublished, so without samples", detached, noSamples),
		s.resumed(),
		s.cooled(),
		{
			"asked why, and what would be", "the pin explained; moves planned, none begun",
			fmt.Sprintf("explained: %s, planned: %s", yesNo(e.explained), yesNo(e.planned)), e.explained && e.planned,
		},
		{
			"Prometheus dark", "the condition says so; nothing moves",
			fmt.Sprintf("condition: %s; %d moved", yesNo(e.blindWhy != "" && e.stillBlind), f.MovedWhileBlind),
			e.blindWhy != "" && e.stillBlind && f.MovedWhileBlind == 0,
		},
		s.reached("Prometheus back", later, "hot"),
		s.untouched(),
		s.tidy(),
	}
	list = append(list, verdict{
		"no copy of any data lost", "never fewer copies in sync than replicas",
		fmt.Sprintf("%d copies too few; %d moves, %d failed", f.LostCopies, f.Moves, f.Failed), f.LostCopies == 0 && f.Failed == 0,
	})
	return list
}

// patient: nothing moves before there is enough history.
func (s *stage) patient() verdict {
	const least = 10 * time.Second // 80 percent of the window, less two slots
	first := time.Duration(0)
	for _, started := range s.kubelet.started() {
		if after := started.Sub(s.began); first == 0 || after < first {
			first = after
		}
	}
	return verdict{
		"no history, no move", fmt.Sprintf("nothing moves in the first %s", least),
		fmt.Sprintf("the first Job came after %.1fs", first.Seconds()), first >= least,
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// state says where a volume's data is, and whether all of it is in sync.
func (s *stage) state(v *volume) (text, tier string, whole bool) {
	truth := s.sim.Truth(v.uuid)
	synced, pools := s.sim.Synced(v.uuid), poolsOf(truth)
	slices.Sort(pools)
	n := len(v.pools)
	text = fmt.Sprintf("%s, %d of %d in sync", strings.Join(pools, " "), synced, n)
	return text, tierOf(pools), synced == n && len(truth) == n && s.sim.Replicas(v.uuid) == n
}

// reached: all replicas are on the tier, by as many steps as replicas were
// elsewhere, and never was a copy missing.
func (s *stage) reached(scenario, claim, tier string) verdict {
	v := s.byClaim[claim]
	text, is, whole := s.state(v)
	steps := 0
	for _, pool := range v.pools {
		if tierOfPool(pool) != tier {
			steps++
		}
	}
	counts, lowest := s.sim.Counts(v.uuid), s.sim.LowestSynced(v.uuid)
	return verdict{
		scenario, fmt.Sprintf("%s on %s in %d %s", claim, tier, steps, plural(steps, "step")),
		fmt.Sprintf("%s, never below %d; +%d -%d", text, lowest, counts.Ups, counts.Downs),
		is == tier && whole && lowest == len(v.pools) && counts.Ups == steps && counts.Downs == steps,
	}
}

// stayed: no replica count was ever asked for. With a gate, its sentence must
// have been shown.
func (s *stage) stayed(scenario, claim, gate string) verdict {
	v := s.byClaim[claim]
	text, is, whole := s.state(v)
	expected, said := claim+" stays", true
	if gate != "" {
		said = s.evidence.held[claim][gate] != ""
		expected += ", with the reason"
		if said {
			text += "; " + gate
		}
	}
	return verdict{scenario, expected, text, is == v.tier() && whole && said && s.calls(v) == 0 && !s.evidence.moved[claim]}
}

// calls counts the replica counts asked for.
func (s *stage) calls(v *volume) (n int) {
	for _, call := range s.sim.Calls() {
		if call.Volume == v.uuid && call.Method != http.MethodGet {
			n++
		}
	}
	return n
}

// resumed: the killed migrator's successor finished the very same move.
func (s *stage) resumed() verdict {
	v := s.reached("migrator killed with -9 and resumed", killed, "hot")
	pids := s.kubelet.pids(s.byClaim[killed].uuid)
	v.truth += fmt.Sprintf("; killed at %.0f%%, %d processes", 100*s.evidence.killedAt, len(pids))
	v.ok = v.ok && s.evidence.killedPID != 0 && len(pids) >= 2
	return v
}

// cooled: down, held by cooldown, and up again not before it was over.
func (s *stage) cooled() verdict {
	const cooldown = 12 * time.Second
	v := s.byClaim[turning]
	text, is, whole := s.state(v)
	counts := s.sim.Counts(v.uuid)
	held := s.evidence.held[turning]["cooldown"] != ""
	waited := time.Duration(0)
	if results := s.kubelet.results(v.uuid); len(results) == 2 {
		// The time of a move is remembered in whole seconds.
		waited = results[1].Started.Sub(results[0].Ended.Truncate(time.Second))
	}
	return verdict{
		"cooldown holds a volume", fmt.Sprintf("%s goes down, is held, goes up after %s", turning, cooldown),
		fmt.Sprintf("%s; held: %s, up after %.1fs", text, yesNo(held), waited.Seconds()),
		is == "hot" && whole && held && s.evidence.turnedDown && waited >= cooldown && counts.Ups == 2 && counts.Downs == 2 &&
			s.sim.LowestSynced(v.uuid) == len(v.pools),
	}
}

// untouched: the volumes that are where they belong.
func (s *stage) untouched() verdict {
	n, wrong := 0, 0
	for _, v := range s.volumes[len(leads()):] {
		n++
		pools := poolsOf(s.sim.Truth(v.uuid))
		slices.Sort(pools)
		if !slices.Equal(pools, slices.Sorted(slices.Values(v.pools))) || s.calls(v) > 0 {
			wrong++
		}
	}
	return verdict{
		"volumes that are where they belong", fmt.Sprintf("%d volumes on the pools they were on", n),
		fmt.Sprintf("%d are elsewhere or were touched", wrong), wrong == 0,
	}
}

// tidy: nothing forbidden was done, and nothing is left behind.
func (s *stage) tidy() verdict {
	violations, cordons := s.sim.Violations(), s.sim.Cordons()
	left := len(cordons.Pools) + len(cordons.Nodes)
	counts := 0
	for _, v := range s.volumes {
		if s.sim.Replicas(v.uuid) != len(v.pools) {
			counts++
		}
	}
	live := len(s.api.List("batch/v1", "Job")) - s.endedJobs()
	text := fmt.Sprintf("%d forbidden, %d cordons, %d counts changed, %d Jobs left", len(violations), left, counts, live)
	if len(violations) > 0 {
		text += ": " + violations[0]
	}
	return verdict{"nothing forbidden, nothing left over", "no cordon, no other replica count, no Job", text, len(violations)+left+counts+live == 0}
}

// endedJobs counts the Jobs with a last condition.
func (s *stage) endedJobs() (n int) {
	for _, job := range s.api.List("batch/v1", "Job") {
		if conditions, found := jobConditions(job); found && len(conditions) > 0 {
			n++
		}
	}
	return n
}

func jobConditions(job *driver.Object) ([]any, bool) {
	status, _ := job.Object["status"].(map[string]any)
	conditions, found := status["conditions"].([]any)
	return conditions, found
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
