// Package simulator plays a Mayastor control plane and the cluster under it, in
// memory, for tests and the demonstration. It follows the fact sheet on Mayastor
// (MS); comments name the section a rule comes from.
//
// # What it is
//
// A [Simulator] is an [net/http.Handler] that answers the REST API of one
// [Profile] (a control-plane version), and the metrics exporter of its nodes. It
// is deterministic: the same [Config.Seed], the same calls at the same instants,
// the same answers. It starts no goroutine. Each request and each method first
// brings the world up to [Config.Now], event by event: rebuilds get on and end,
// the core's cache is polled, the reconcilers tick, dead nodes are noticed,
// operations complete, applications write. So it works under the real clock and
// inside a testing/synctest bubble, where hours take no time.
//
//	synctest.Test(t, func(t *testing.T) {
//		sim := simulator.NewCluster(simulator.Config{CachePeriod: 30 * time.Second}, 3)
//		volume := sim.Published(10<<30, "sata-1", "sata-2")
//		client, stop := sim.Client() // real HTTP over pipes in memory
//		defer stop()
//		// PUT simulator.BaseURL + "/v0/volumes/" + volume + "/replica_count/3" ...
//		time.Sleep(2 * time.Minute)
//		for _, replica := range sim.Truth(volume) { ... }
//		if v := sim.Violations(); len(v) > 0 { t.Error(v) }
//	})
//
// Over TCP it is [Simulator.Listen]; real sockets hang in a bubble.
//
// # What it knows and REST does not tell
//
// Each replica has a truth about its data: blank, rebuilt so far, fallen behind,
// in sync. [Simulator.Truth] shows it. The background writer of every live nexus
// never rests, so a replica that is no healthy child of it is behind at once.
// These are recorded as [Simulator.Violations], each a sentence:
//
//   - a call of the caller lost the last fully synced copy;
//   - a call of the caller left fewer synced copies than there were, and fewer
//     than num_replicas was at [Simulator.Mark] or as others set it since
//     ([Simulator.AllowReduced] allows less);
//   - the caller scaled a never-published volume that has data, and its first
//     publish now serves the blank replica;
//   - a call no client of ours may make: deleting replicas or children, touching
//     targets, sizes, snapshots or volumes, draining nodes, cordoning a pool's
//     import, touching the label openebs.io/created-by.
//
// The caller is whoever speaks HTTP. Everybody else acts by methods: nodes and
// pools fail ([Simulator.NodeDown], [Simulator.PoolDown], [Simulator.FillPool]),
// rebuilds stall, fail or start over ([Simulator.StallRebuild],
// [Simulator.FailRebuildAt], [Simulator.RestartRebuild]), the core restarts
// ([Simulator.CoreRestart]), CSI, HA and users do their part
// ([Simulator.Publish], [Simulator.HASwitchover], [Simulator.UserScale], ...).
// [Simulator.RandomAct] draws one of them.
//
// [Simulator.OnChange] registers an observer that runs after every single change,
// while the world is consistent, to assert invariants at each instant.
//
// # Faults
//
// [Simulator.Inject] arms a [Fault] by method, path pattern, occurrence and
// predicate: an error before or after the effect, a lost or missing reply, a
// dropped connection, a delay, an old answer, a wrong list, broken JSON, a route
// that seems missing; or a function of the test's own before or after. Note that
// net/http sends a GET again by itself when a reused connection drops; that is
// another match.
//
// # What it does not play
//
// Volumes cannot be created or restored by REST; [Simulator.AddVolume] makes
// them. Replicas that run out of space are replaced by self-heal, not moved by
// the core. Data written does not grow a thin volume. Unpublished volumes never
// rebuild (offline rebuild is off by default upstream). Authentication, TLS,
// app-nodes, watches and block devices are not served: such paths are 404 with
// an empty body, as any path upstream does not have, and /v0/api/spec lists only
// what is served.
package simulator
