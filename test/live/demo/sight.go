package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/test/simulator"
	"github.com/billyronks/couchestor/tiering"
)

// window is that of all policies.
const window = 15 * time.Second

// sight is what can be seen of the cluster at one moment, by the means any user
// has: the policies' status, Prometheus, and where Mayastor says replicas are.
type sight struct {
	at       time.Time
	rows     map[string]row // by claim
	policies map[string]*tiering.StoragePolicy
	// iops by PersistentVolume; nil while Prometheus does not answer.
	iops map[string]float64
}

// row is one volume at one moment.
type row struct {
	volume   *volume
	iops     string
	tier     string
	decision string
	gate     string
	why      string
}

// The words of a decision.
const (
	decisionUnknown = "unknown"
	decisionStay    = "stay"
	decisionHeld    = "held"
	decisionNext    = "move next"
	decisionMoving  = "moving"
	decisionMoved   = "moved"
	decisionEnded   = "ended"
)

// look takes everything in.
func (s *stage) look(ctx context.Context) (*sight, error) {
	seen := &sight{at: time.Now(), rows: map[string]row{}, policies: map[string]*tiering.StoragePolicy{}}
	for _, name := range policyNames {
		o, err := s.api.Get(policyRef(name))
		if err != nil {
			return nil, err
		}
		p := new(tiering.StoragePolicy)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, p); err != nil {
			return nil, fmt.Errorf("read the status of policy %s: %w", name, err)
		}
		seen.policies[name] = p
	}
	seen.iops = s.query(ctx)
	replicas := map[string][]simulator.ReplicaTruth{}
	s.sim.Look(func(w simulator.View) {
		for _, v := range s.volumes {
			replicas[v.uuid] = w.Truth(v.uuid)
		}
	})
	for _, v := range s.volumes {
		seen.rows[v.claim] = seen.row(v, replicas[v.uuid])
	}
	return seen, nil
}

// row puts together what is known of one volume.
func (seen *sight) row(v *volume, replicas []simulator.ReplicaTruth) row {
	status := seen.policies[v.policy()].Status
	r := row{volume: v, tier: tierOf(poolsOf(replicas)), iops: "?", decision: decisionStay}
	iops, known := seen.iops[v.pv()]
	if known {
		r.iops = strconv.FormatFloat(iops, 'f', 0, 64)
	}
	for _, p := range status.Plan {
		if p.VolumeName != v.pv() {
			continue
		}
		r.gate, r.why = p.Gate, strings.TrimSpace(p.Reason)
		switch p.Action {
		case "Move":
			r.decision = decisionNext
		case "Moving":
			r.decision, r.why = decisionMoving, progress(p.FromTier, p.ToTier, replicas)
		default:
			r.decision = decisionHeld
			if seen.blind(v.policy()) != "" || p.ToTier == tiering.NoTier.String() {
				r.decision = decisionUnknown
			}
		}
		r.why = cmp.Or(r.why, fmt.Sprintf("%s to %s", p.FromTier, p.ToTier))
		return r
	}
	if 2*status.UnknownVolumes >= status.WatchedVolumes {
		// Not one volume's matter: the policy has no scores yet, or none now.
		r.decision = decisionUnknown
		return r
	}
	for _, h := range status.MigrationHistory {
		if h.VolumeName != v.pv() {
			continue
		}
		r.gate = h.JobName
		r.decision, r.why = decisionMoved, fmt.Sprintf("%s to %s in %s: %s -> %s", h.FromTier, h.ToTier, h.Duration, h.FromPool, h.ToPool)
		if !h.Success {
			r.decision, r.why = decisionEnded, fmt.Sprintf("%s: %s", h.Outcome, h.Error)
		}
		return r
	}
	switch {
	case known:
		r.why = suits(iops, seen.policies[v.policy()].Spec)
	case seen.iops != nil:
		r.decision, r.gate, r.why = decisionUnknown, noSamples, "Prometheus has no samples of it: it is not published, so there is no load to judge"
	}
	return r
}

// suits says why a volume stays.
func suits(iops float64, spec tiering.StoragePolicySpec) string {
	low, high := spec.LowWatermarkIOPS, spec.HighWatermarkIOPS
	if low != nil && high != nil && iops >= float64(*low) && iops <= float64(*high) {
		return fmt.Sprintf("between its watermarks, %d and %d IOPS: nothing to gain by a move", *low, *high)
	}
	return "its tier suits its load"
}

// noSamples marks a volume that Prometheus knows nothing about.
const noSamples = "no samples"

// progress says how far a move is.
func progress(from, to string, replicas []simulator.ReplicaTruth) string {
	there, rebuilding := 0, ""
	for _, r := range replicas {
		switch {
		case tierOfPool(r.Pool) != to:
		case r.Synced:
			there++
		default:
			rebuilding = fmt.Sprintf(", rebuilding on %s: %.0f%%", r.Pool, 100*r.Rebuilt)
		}
	}
	return fmt.Sprintf("%s to %s: %d in sync there%s", from, to, there, rebuilding)
}

// blind returns why a policy has no metrics, or "".
func (seen *sight) blind(policy string) string {
	for _, c := range seen.policies[policy].Status.Conditions {
		if c.Type == "MetricsAvailable" && c.Status != metav1.ConditionTrue {
			return cmp.Or(c.Message, c.Reason, "no reason given")
		}
	}
	return ""
}

// allBlind returns why all policies have no metrics, or "" if one has.
func (seen *sight) allBlind() (why string) {
	for _, name := range policyNames {
		if why = seen.blind(name); why == "" {
			return ""
		}
	}
	return why
}

// moving counts the volumes a Job works on.
func (seen *sight) moving() int64 {
	return seen.sum(func(s *tiering.StoragePolicyStatus) int64 { return s.ActiveMigrations })
}

// watched counts the volumes of all policies; 0 before their first answer.
func (seen *sight) watched() int64 {
	return seen.sum(func(s *tiering.StoragePolicyStatus) int64 { return s.WatchedVolumes })
}

func (seen *sight) unknown() int64 {
	return seen.sum(func(s *tiering.StoragePolicyStatus) int64 { return s.UnknownVolumes })
}

func (seen *sight) ended() int64 {
	return seen.sum(func(s *tiering.StoragePolicyStatus) int64 { return s.TotalMigrations })
}

// sum is that of a count in the statuses of all policies.
func (seen *sight) sum(count func(*tiering.StoragePolicyStatus) int64) (n int64) {
	for _, p := range seen.policies {
		n += count(&p.Status)
	}
	return n
}

// tiers counts volumes by where all their replicas are.
func (seen *sight) tiers() string {
	counts := map[string]int{}
	for _, r := range seen.rows {
		counts[r.tier]++
	}
	var words []string
	for _, tier := range []string{"hot", "warm", "cold", "mixed", "none"} {
		if counts[tier] > 0 {
			words = append(words, fmt.Sprintf("%d %s", counts[tier], tier))
		}
	}
	return strings.Join(words, ", ")
}

// query asks Prometheus what the service asks it: IOPS over the window. It
// returns nil if there is no answer.
func (s *stage) query(ctx context.Context) map[string]float64 {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	address := s.prometheus.URL() + "/api/v1/query?" + url.Values{"query": {world.ScoreQuery(window, world.Step(window, coverageSlot), coverageSlot)}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if json.NewDecoder(response.Body).Decode(&answer) != nil {
		return nil
	}
	iops := map[string]float64{}
	for _, r := range answer.Data.Result {
		if text, ok := r.Value[1].(string); ok {
			if value, err := strconv.ParseFloat(text, 64); err == nil {
				iops[r.Metric["pv_name"]] = value
			}
		}
	}
	return iops
}

// news returns the rows that say something else than before, in the order of
// the cast.
func (seen *sight) news(told map[string]string, volumes []*volume) []row {
	var rows []row
	for _, v := range volumes {
		r := seen.rows[v.claim]
		if seen.blind(v.policy()) != "" {
			continue // all are unknown then, which the summary says
		}
		key := r.decision + "/" + r.gate + "/" + r.tier
		if told[v.claim] == key {
			continue
		}
		// Most volumes are unknown at first and then stay: no news, but for the
		// one that shows what it means to be in between.
		quiet := r.decision == decisionUnknown && r.gate == "" || r.decision == decisionStay && v.claim != middle
		if was, found := told[v.claim]; quiet && (!found || strings.HasPrefix(was, decisionUnknown) || strings.HasPrefix(was, decisionStay)) {
			told[v.claim] = key
			continue
		}
		told[v.claim] = key
		rows = append(rows, r)
	}
	return slices.Clip(rows)
}
