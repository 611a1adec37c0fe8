package hooks

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// run is one Job of a volume, read.
type run struct {
	*job
	// volume is Mayastor's uuid; n is 0 for a Job whose name is not ours.
	volume string
	n      int64
	policy string
	// child is true if the policy that asks owns the Job and was shown it as a
	// child, so that an answer without it deletes it.
	child    bool
	recovery bool
	// result is nil until the migrator reported one that can be read.
	result *mayastor.Result
}

// readRun reads a Job. The name tells volume and number; a Job of another name
// concerns the volume its label names, if any.
func readRun(j *job, child bool) *run {
	r := &run{
		job: j, child: child,
		policy:   j.Labels[PolicyLabel],
		recovery: j.Labels[RecoveryLabel] == "true",
	}
	uuid, n, ok := parseJobName(j.Name)
	if !ok {
		r.volume = j.Labels[VolumeLabel]
		return r
	}
	r.volume, r.n = uuid, n
	text, ok := j.Annotations[mayastor.ResultAnnotation]
	if !ok {
		return r
	}
	var result mayastor.Result
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return r
	}
	if result.Volume == uuid && terminal(tiering.AttemptState(result.State)) && !result.Ended.IsZero() {
		r.result = &result
	}
	return r
}

// live reports whether the Job may still work on its volume: it has neither a
// result nor ended. A Job under deletion is live until it is gone.
func (r *run) live() bool { return r.result == nil && !r.over() }

// over reports whether Kubernetes is done with the Job's pods.
func (r *run) over() bool { return r.Ended.Type != "" }

// at is when the run ended; the zero time while it is live.
func (r *run) at() time.Time {
	switch {
	case r.result != nil:
		return r.result.Ended
	case !r.over():
		return time.Time{}
	case r.Ended.At.IsZero():
		return r.Created
	}
	return r.Ended.At
}

// score is the IOPS for which the Job was made; 0 if it does not say.
func (r *run) score() float64 {
	score, err := strconv.ParseFloat(r.Annotations[ScoreAnnotation], 64)
	if err != nil || math.IsNaN(score) || math.IsInf(score, 0) || score < 0 {
		return 0
	}
	return score
}

// trigger is what set the run off. A recovery is automatic, whoever approved what
// it cleans up after.
func (r *run) trigger() string {
	if r.Annotations[TriggerAnnotation] == tiering.TriggerApproved {
		return tiering.TriggerApproved
	}
	return tiering.TriggerAutomatic
}

// wanted is since when the plan showed the wish; zero if the Job does not say,
// or says what cannot be.
func (r *run) wanted() time.Time {
	at, err := time.Parse(time.RFC3339, r.Annotations[WantedAnnotation])
	if err != nil || at.After(r.Created) {
		return time.Time{}
	}
	return at.UTC()
}

func (r *run) tiers() (from, to tiering.Tier) {
	from, _ = tiering.ParseTier(r.Labels[FromTierLabel])
	to, _ = tiering.ParseTier(r.Labels[ToTierLabel])
	return from, to
}

// end is how the run ended; false while it is live.
func (r *run) end() (end, bool) {
	if r.live() || r.n == 0 {
		return end{}, false
	}
	generation, _ := strconv.ParseInt(r.Annotations[GenerationAnnotation], 10, 64)
	if r.result == nil {
		return end{n: r.n, attempt: tiering.Attempt{
			N: r.n, Policy: r.policy, To: r.Labels[ToTierLabel], State: tiering.AttemptFailed,
			Generation: generation, Reason: r.Ended.Reason, At: r.at(),
		}}, true
	}
	e := end{n: r.n, said: true, counted: true, attempt: tiering.Attempt{
		N: r.n, Policy: r.result.Policy, To: r.result.To,
		State: tiering.AttemptState(r.result.State), Failures: r.result.Failures,
		Generation: generation, Reason: r.result.Reason, At: r.result.Ended,
	}}
	if r.result.Replicas > 0 {
		e.moved = r.result.Ended
	}
	return e, true
}

// liveJob is what a decision sees of a live run.
func (r *run) liveJob() *tiering.LiveJob {
	from, to := r.tiers()
	l := &tiering.LiveJob{
		Name: r.Name, Policy: r.policy, From: from, To: to, Recovery: r.recovery,
		ScoreIOPS: r.score(), Started: r.Created, Wanted: r.wanted(),
	}
	if allowed, err := time.ParseDuration(r.Annotations[AllowedAnnotation]); err == nil && allowed > 0 {
		l.Deadline = r.Created.Add(allowed)
	}
	if pools := r.Annotations[LandingAnnotation]; pools != "" {
		l.TargetPools = strings.Split(pools, ",")
	}
	return l
}

// runs are all Jobs that could be seen, by volume.
type runs struct {
	// children are the policy's own, in the order of the request.
	children []*run
	byVolume map[string][]*run
}

// readRuns joins children and related Jobs. The two lists are read at different
// times; a Job in both has ended if it has in either.
func readRuns(q *request) *runs {
	rs := &runs{byVolume: make(map[string][]*run)}
	seen := make(map[string]*run, len(q.Children))
	for _, j := range q.Children {
		r := readRun(j, true)
		r.policy = q.Parent.Name
		rs.children = append(rs.children, r)
		seen[r.Namespace+"/"+r.Name] = r
	}
	for _, j := range q.Related.Jobs {
		other := readRun(j, false)
		r := seen[other.Namespace+"/"+other.Name]
		if r == nil || r.UID != other.UID {
			rs.add(other)
			continue
		}
		if r.result == nil {
			r.result = other.result
		}
		if !r.over() && other.over() {
			// A copy: the request is not changed.
			j := *r.job
			j.Ended = other.Ended
			r.job = &j
		}
	}
	for _, r := range rs.children {
		rs.add(r)
	}
	for _, list := range rs.byVolume {
		slices.SortFunc(list, func(a, b *run) int {
			// The policy's own first, so that it counts what it runs.
			if a.child != b.child {
				if a.child {
					return -1
				}
				return 1
			}
			return strings.Compare(a.Namespace+"/"+a.Name+"/"+a.UID, b.Namespace+"/"+b.Name+"/"+b.UID)
		})
	}
	return rs
}

func (rs *runs) add(r *run) {
	if r.volume != "" {
		rs.byVolume[r.volume] = append(rs.byVolume[r.volume], r)
	}
}

// ours reports whether the run belongs to the policy, be it shown as a child or
// not; a Job of an earlier policy of the same name does not.
func (r *run) ours(p *parent) bool {
	if r.child {
		return true
	}
	owner, ok := r.Labels[selectorLabel]
	return r.policy == p.Name && (!ok || owner == p.UID)
}

// endedWithout says why a run without a result failed.
func (r *run) endedWithout() string {
	why := r.Ended.Reason
	if why == "" {
		why = r.Ended.Type
	}
	if r.Ended.Message != "" {
		why += ": " + clip(strings.TrimRight(r.Ended.Message, ". "))
	}
	return fmt.Sprintf("the Job ended without a result (%s); look at the events of the Job and the logs of its pods", why)
}
