package server

import "fmt"

// Metric documents one metric of the service.
type Metric struct {
	Name string
	// Type is counter, gauge, histogram or summary.
	Type string
	// Labels are in the order of the exposition.
	Labels []string
	// Help says what the value is and, where it is not plain, when to look.
	Help string
}

// Metrics lists every metric of the service whose name begins with couchestor_,
// sorted by name. Besides these there are those of the Go runtime and the
// process.
func Metrics() []Metric {
	return []Metric{
		{
			"couchestor_active_move_age_seconds", "gauge",
			[]string{"policy"},
			"Age of the oldest move that runs now; 0 if none does.",
		},
		{
			"couchestor_active_moves", "gauge",
			[]string{"direction", "policy"},
			"Moves that run now, by their Jobs. Of a policy that is not accepted all are other.",
		},
		{
			"couchestor_build_info", "gauge",
			[]string{"goversion", "revision", "version"},
			"1, with what the running program was built from in its labels.",
		},
		{
			"couchestor_failing_volumes", "gauge",
			[]string{"policy"},
			"Volumes of which the last 3 or more attempts failed, as the volumes themselves remember it.",
		},
		{
			"couchestor_governance_accepted", "gauge",
			nil,
			"1 if the newest governance configuration is in force, 0 if it cannot be read or has faults and the last good one stays, or nothing starts; not there without --config.",
		},
		{
			"couchestor_held_volumes", "gauge",
			[]string{"gate", "policy"},
			"Volumes that a gate holds, by the first that does.",
		},
		{
			"couchestor_hook_rejections_total", "counter",
			[]string{"hook"},
			"Hook requests answered with 429, because others were being worked on for too long. Metacontroller asks again 2 seconds later.",
		},
		{
			"couchestor_hook_request_duration_seconds", "histogram",
			[]string{"hook"},
			"How long hook requests took, waiting for their turn and for the sources included.",
		},
		{
			"couchestor_hook_request_size_bytes", "histogram",
			[]string{"hook"},
			"Size of the bodies of hook requests, as far as they were read.",
		},
		{
			"couchestor_hook_requests_total", "counter",
			[]string{"code", "hook"},
			"Hook requests by hook and status code. Without requests for the hook sync Metacontroller does not reach the service.",
		},
		{
			"couchestor_kubernetes_lists_total", "counter",
			[]string{"kind"},
			"Whole lists of a kind of object, with --volumes-from=api. After the first one each is the end of a gap that the watch could not bridge; many are a sign of trouble with the API server.",
		},
		{
			"couchestor_kubernetes_objects", "gauge",
			[]string{"kind"},
			"Objects of a kind that are held in memory, with --volumes-from=api; of PersistentVolumes those of Mayastor's driver, of claims those with labels, of Jobs those that moved or move a volume.",
		},
		{
			"couchestor_move_duration_seconds", "summary",
			[]string{"direction", "policy"},
			"How long the moves took, from the Job's first step to the verified end, that reached their tier and were not run by hand. From the policy's status, as couchestor_moves_ended_total.",
		},
		{
			"couchestor_move_lead_time_seconds", "summary",
			[]string{"direction", "policy"},
			"Time from when the plan first showed a volume's wish, outside of dry run, to the verified end of its move. From the policy's status; of a plan with more than 20 entries a part of the waiting is not seen.",
		},
		{
			"couchestor_move_places", "gauge",
			nil,
			"Moves that may run at once over all policies (--max-concurrent-migrations).",
		},
		{
			"couchestor_move_places_taken", "gauge",
			nil,
			"Jobs of all policies that ran or were to start when a policy was last decided on.",
		},
		{
			"couchestor_moved_bytes_total", "counter",
			[]string{"direction", "policy"},
			"Size of the copies that were rebuilt on another pool, failed moves included; of thin volumes less is copied. From the policy's status, as couchestor_moves_ended_total.",
		},
		{
			"couchestor_moves_ended_total", "counter",
			[]string{"direction", "outcome", "policy", "trigger"},
			"Moves that ended. From the policy's status, which counts each result once: it survives restarts, every replica of the service shows the same, and only a status that is lost begins anew. So take max by (policy, ...) first and increase() of that.",
		},
		{
			"couchestor_moves_started_total", "counter",
			[]string{"direction", "policy"},
			"Jobs that this process saw begin; it begins at 0 with the process. A Job that began before is not counted.",
		},
		{
			"couchestor_moves_unsuccessful_total", "counter",
			[]string{"direction", "outcome", "policy", "reason"},
			"Moves that ended otherwise than moved, by their reason; a reason is there once it was met. From the policy's status, as couchestor_moves_ended_total.",
		},
		{
			"couchestor_overdue_moves", "gauge",
			[]string{"policy"},
			"Moves that run for longer than migrationTimeout allows all their replicas together.",
		},
		{
			"couchestor_panics_total", "counter",
			[]string{"listener"},
			"Requests that ended in a fault of this program outside a hook; those inside are answers with the code 500. Any is a bug; the log has it.",
		},
		{
			"couchestor_policy_accepted", "gauge",
			[]string{"policy"},
			"1 if the policy's spec is without fault, else 0, and its status says what is wrong.",
		},
		{
			"couchestor_policy_mode", "gauge",
			[]string{"mode", "policy"},
			"1 for the mode of the policy's status, 0 for the others.",
		},
		{
			"couchestor_scored_volumes", "gauge",
			[]string{"at_most", "policy"},
			"Volumes whose score in IOPS is at most the label's value, of those with a score that may be acted on. label_replace at_most to le makes it a histogram of now.",
		},
		{
			"couchestor_source_error", "gauge",
			[]string{"reason", "source"},
			"1 for the reason for which the last reading of a source failed, 0 for the others.",
		},
		{
			"couchestor_source_failures_total", "counter",
			[]string{"reason", "source"},
			"Readings of a source that were no data, by reason; of Kubernetes, lists and watches that failed.",
		},
		{
			"couchestor_source_queries_total", "counter",
			[]string{"source"},
			"Queries of Prometheus, three for each window, and readings of Mayastor's whole control plane.",
		},
		{
			"couchestor_source_query_duration_seconds", "histogram",
			[]string{"source"},
			"How long they took, failed ones included.",
		},
		{
			"couchestor_source_snapshot_age_seconds", "gauge",
			[]string{"source"},
			"Age of the last good reading; of several windows, of the oldest that is kept. +Inf if there was none. Prometheus and Mayastor are read when a hook asks, so up to the resync period of 300 seconds is usual; Kubernetes is watched, and 180 seconds are too many.",
		},
		{
			"couchestor_source_up", "gauge",
			[]string{"source"},
			"1 if the last reading was good, for each window or kind of object; else 0, and no new move starts once the last good one is too old.",
		},
		{
			"couchestor_tier_capacity_bytes", "gauge",
			[]string{"policy", "tier"},
			"Size of the pools of a policy's tier that are online. Not there while Mayastor cannot be read.",
		},
		{
			"couchestor_tier_committed_bytes", "gauge",
			[]string{"policy", "tier"},
			"Size of all replicas on those pools, if each thin one were full.",
		},
		{
			"couchestor_tier_limit_bytes", "gauge",
			[]string{"policy", "tier"},
			"What may be used of those pools by maxPoolUsedPercent; beyond it nothing is moved there.",
		},
		{
			"couchestor_tier_score_iops", "gauge",
			[]string{"policy", "tier"},
			"Sum of the scores of the volumes on a tier, in operations a second.",
		},
		{
			"couchestor_tier_used_bytes", "gauge",
			[]string{"policy", "tier"},
			"What is used of those pools, by whomever.",
		},
		{
			"couchestor_volume_move_ended_timestamp_seconds", "gauge",
			[]string{"claim", "direction", "policy", "pv_name"},
			"When the last move of a volume ended, of the volumes in the policy's history, which holds 50 results.",
		},
		{
			"couchestor_volume_move_started_timestamp_seconds", "gauge",
			[]string{"claim", "direction", "policy", "pv_name"},
			"When that move started; its end, if nobody knows.",
		},
		{
			"couchestor_volumes", "gauge",
			[]string{"policy", "state", "tier"},
			"Volumes of a policy by the tier they are on and what became of them at the last sync; unknown ones are held for want of a score.",
		},
		{
			"couchestor_watermark_iops", "gauge",
			[]string{"policy", "watermark"},
			"The policy's watermarks; warm only if there is a warm tier.",
		},
		{
			"couchestor_wish_age_seconds", "gauge",
			[]string{"policy"},
			"Age of the oldest wish in the policy's plan that waits or is being moved; 0 if there is none. The plan has at most 20 entries, and none of what the policy's mode holds.",
		},
	}
}

// metric returns the table's entry. A name that is not in it is a programmer's
// error.
func metric(name string) Metric {
	for _, m := range Metrics() {
		if m.Name == name {
			return m
		}
	}
	panic(fmt.Sprintf("metric %s is not documented", name))
}
