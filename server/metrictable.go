package server

import "fmt"

// Metric documents one metric of the service.
type Metric struct {
	Name string
	// Type is counter, gauge or histogram.
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
			"couchestor_active_moves", "gauge",
			[]string{"policy"},
			"Moves that run now, by their Jobs.",
		},
		{
			"couchestor_build_info", "gauge",
			[]string{"goversion", "revision", "version"},
			"1, with what the running program was built from in its labels.",
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
			"couchestor_moves_ended_total", "counter",
			[]string{"policy"},
			"Moves that ended, whatever their outcome but refusals, as the policy's status counts them; it survives restarts.",
		},
		{
			"couchestor_moves_failed_total", "counter",
			[]string{"policy"},
			"Those of them that failed.",
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
			"couchestor_source_failures_total", "counter",
			[]string{"reason", "source"},
			"Readings of a source that were no data, by reason.",
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
			"Age of the last good reading; of several windows, of the oldest that is kept. +Inf if there was none. Sources are read when a hook asks, so up to the resync period of 300 seconds is usual.",
		},
		{
			"couchestor_source_up", "gauge",
			[]string{"source"},
			"1 if the last reading was good, for each window; else 0, and no new move starts once the last good one is too old.",
		},
		{
			"couchestor_volumes", "gauge",
			[]string{"policy", "state", "tier"},
			"Volumes of a policy by the tier they are on and what became of them at the last sync; unknown ones are held for want of a score.",
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
