package main

import (
	"fmt"
	"math"
	"time"

	"github.com/billyronks/couchestor/mayastor"
)

// figures are all that a run measured.
type figures struct {
	Mode     string `json:"mode"`
	Volumes  int    `json:"volumes"`
	Policies int    `json:"policies"`
	Windows  int    `json:"windows"`
	Overlay  string `json:"overlay"`
	// Limits are how the service was kept to them, and Proof what was seen to hold.
	Limits    string  `json:"limits"`
	Proof     string  `json:"proof"`
	LimitMiB  int64   `json:"limitMiB"`
	Cores     float64 `json:"cores"`
	MaxProcs  int     `json:"gomaxprocs"`
	Nice      int     `json:"nice"`
	ReadySecs float64 `json:"readySeconds"`

	Seconds float64 `json:"seconds"`
	Syncs   int     `json:"syncs"`
	Errors  int     `json:"errors"`
	First   string  `json:"firstError,omitempty"`

	// Milliseconds: as the caller sees it with and without the time that sending the
	// body takes, and as the service's own histogram has it.
	Latency spread `json:"latencyMs"`
	Wait    spread `json:"latencyAfterBodyMs"`
	Own     spread `json:"latencyOwnMs"`
	// Undisturbed are the syncs, so many of them, while no source was being read.
	Undisturbed      spread `json:"latencyUndisturbedMs"`
	UndisturbedSyncs int    `json:"undisturbedSyncs"`

	CPUSeconds  float64 `json:"cpuSeconds"`
	CPUShare    float64 `json:"cpuShare"`
	Throttled   float64 `json:"throttledSeconds"`
	Queued      float64 `json:"queuedSeconds"`
	PerSync     float64 `json:"cpuMsPerSync"`
	Scan        float64 `json:"tokenScanMs"`
	ScanBytes   int64   `json:"tokenScanBytes"`
	XScan       float64 `json:"xTokenScan"`
	Collections int     `json:"collections"`
	PeakMiB     float64 `json:"peakMiB"`
	HeapMiB     float64 `json:"peakHeapMiB"`
	WorkingMiB  float64 `json:"peakWorkingSetMiB,omitempty"`
	Killed      bool    `json:"killed"`

	BytesIn        int64   `json:"bytesInPerSync"`
	BytesOut       int64   `json:"bytesOutPerSync"`
	Queries        int     `json:"queriesPerRound"`
	QueryRounds    int     `json:"queryRounds"`
	QueryMiB       float64 `json:"queryMiBPerRound"`
	QuerySlowest   float64 `json:"querySlowestSeconds"`
	FailedReadings int     `json:"failedReadings"`
	MayastorCalls  float64 `json:"mayastorRequestsPerRound"`
	MayastorRounds int     `json:"mayastorRounds"`
	MayastorMiB    float64 `json:"mayastorMiBPerRound"`
	APIMiB         float64 `json:"kubernetesMiB,omitempty"`
	APILists       int64   `json:"kubernetesLists,omitempty"`
	APIWatches     int64   `json:"kubernetesWatches,omitempty"`

	QuietStatusWrites int                    `json:"quietStatusWrites"`
	StatusWrites      int                    `json:"statusWrites"`
	Created           int                    `json:"volumesCreated"`
	Deleted           int                    `json:"volumesDeleted"`
	Changed           int                    `json:"volumesChanged"`
	Moves             map[mayastor.State]int `json:"moves"`
	Watched           int                    `json:"watchedVolumes"`
	Unknown           int                    `json:"unknownVolumes"`

	// Broken are the budgets that were not kept.
	Broken []string `json:"broken"`

	before, after exposed
	writesBefore  int
}

// used is what the service used up to a moment.
type used struct {
	usage
	throttled time.Duration
	gc        collections
}

func (s *stage) usage() used {
	return used{s.service.usage(), s.limits.throttled(), s.service.gc.sum()}
}

func (s *stage) newFigures() *figures {
	return &figures{
		Mode: s.mode, Volumes: s.o.volumes, Policies: s.o.policies, Windows: s.town.windows(), Overlay: s.deployed.overlay,
		Limits: s.limits.kind, Proof: s.limits.proof, LimitMiB: s.limits.memory >> 20, Cores: s.limits.cores,
		Nice: niceOf(s.service.PID()), ReadySecs: time.Since(s.started).Seconds(),
	}
}

// count takes down what was used between two moments.
func (f *figures) count(from, to used, took time.Duration) {
	f.Seconds = took.Seconds()
	f.CPUSeconds = (to.cpu - from.cpu).Seconds()
	f.CPUShare = f.CPUSeconds / f.Seconds / f.Cores
	f.Throttled = (to.throttled - from.throttled).Seconds()
	f.Queued = (to.queued - from.queued).Seconds()
	f.Collections = to.gc.count - from.gc.count
}

// finish adds what is known at the end, and judges it.
func (s *stage) finish(f *figures) {
	var first error
	f.Syncs, f.Errors, first = s.measured.counts()
	if f.Errors > 0 {
		// A connection that broke is known sooner than why.
		select {
		case <-s.service.Ended:
		case <-time.After(2 * time.Second):
		}
	}
	if first != nil {
		f.First = first.Error()
	}
	f.Latency, f.Wait, f.BytesIn, f.BytesOut = s.measured.spreads()
	f.Undisturbed, f.UndisturbedSyncs = s.measured.undisturbed()
	if f.after != nil {
		f.Own = spread{quantile(f.before, f.after, 0.5), quantile(f.before, f.after, 0.9), quantile(f.before, f.after, 0.99), quantile(f.before, f.after, 1)}
		f.FailedReadings = int(f.after.sum("couchestor_source_failures_total"))
		f.MaxProcs = int(f.after.number("go_sched_gomaxprocs_threads"))
	}
	u := s.usage()
	f.PeakMiB, f.HeapMiB, f.WorkingMiB = inMiB(u.peak), inMiB(u.gc.heap), inMiB(u.working)
	f.Killed = s.service.Gone()
	f.PerSync = 1000 * f.CPUSeconds / float64(max(1, f.Syncs))
	f.ScanBytes = s.fullBody()
	s.yardstick.look()
	f.Scan = milliseconds(s.yardstick.scan(f.ScanBytes))
	f.XScan = f.PerSync / f.Scan
	s.countSources(f)
	f.StatusWrites = s.loop.statusWrites() - f.writesBefore
	f.Created, f.Deleted, f.Changed = s.churn.created, s.churn.deleted, s.churn.changed
	f.Moves = s.jobs.counts()
	f.Watched, f.Unknown = s.loop.counted("watchedVolumes"), s.loop.counted("unknownVolumes")
	s.judge(f)
}

// fullBody is how long a request with all related objects is, be they sent or not.
func (s *stage) fullBody() int64 {
	return newBody(s.loop.policies[s.town.policies[0].name].object, nil, s.kube.list).length
}

func inMiB(n int64) float64 { return math.Round(float64(n)/float64(mib)*10) / 10 }

// countSources takes down what was asked of the sources since the service started.
func (s *stage) countSources(f *figures) {
	asked, bytes := s.promTalk.so()
	f.Queries = len(asked)
	for _, n := range asked {
		f.QueryRounds = max(f.QueryRounds, n)
	}
	f.QuerySlowest = s.promTalk.slowest().Seconds()
	f.QueryMiB = inMiB(bytes / int64(max(1, f.QueryRounds)))
	asked, bytes = s.mayaTalk.so()
	calls := 0
	for _, n := range asked {
		calls += n
	}
	f.MayastorRounds = asked["/v0/nodes"]
	f.MayastorCalls = float64(calls) / float64(max(1, f.MayastorRounds))
	f.MayastorMiB = inMiB(bytes / int64(max(1, f.MayastorRounds)))
	if s.apiServer != nil {
		f.APIMiB, f.APILists, f.APIWatches = inMiB(s.apiServer.sent.Load()), s.apiServer.lists.Load(), s.apiServer.watches.Load()
	}
}

// judge compares with the budgets that do not depend on the machine.
func (s *stage) judge(f *figures) {
	broken := func(bad bool, format string, args ...any) {
		if bad {
			f.Broken = append(f.Broken, fmt.Sprintf(format, args...))
		}
	}
	if f.Killed {
		broken(true, "%v", s.service.why(s.service.Fate()))
	}
	broken(f.Syncs == 0, "no sync was answered")
	broken(f.Errors > 0, "%d syncs were not answered with 200; the first: %s", f.Errors, f.First)
	broken(f.peak() >= float64(f.LimitMiB), "the peak of memory is %.0f MiB, the limit %d", f.peak(), f.LimitMiB)
	broken(f.FailedReadings > 0, "%d readings of sources failed; the service's log says why", f.FailedReadings)
	ttl, err := time.ParseDuration(s.deployed.env["COUCHESTOR_CACHE_TTL"])
	broken(err != nil, "the Deployment's cache TTL: %v", err)
	broken(f.Queries > 3*f.Windows, "%d different queries were made for %d windows, and 3 for each are the budget", f.Queries, f.Windows)
	most := int(time.Since(s.started)/max(ttl, time.Second)) + 2
	broken(f.QueryRounds > most, "a query was made %d times in a time that allows %d", f.QueryRounds, most)
	pages := math.Ceil(float64(s.o.volumes+f.Created)/500) + 3
	broken(f.MayastorCalls > pages, "%.1f requests to Mayastor a round, and %.0f are the budget", f.MayastorCalls, pages)
	broken(f.MayastorRounds > most, "Mayastor was read %d times in a time that allows %d", f.MayastorRounds, most)
	broken(f.QuietStatusWrites > 0, "%d statuses were written while nothing happened", f.QuietStatusWrites)
	broken(f.Moves[mayastor.Failed] > 0, "%d moves failed", f.Moves[mayastor.Failed])
	for _, v := range s.town.sim.Violations() {
		broken(true, "a migrator endangered data: %s", v)
	}
	if s.apiServer != nil {
		broken(s.apiServer.refused.Load() > 0, "%d requests to Kubernetes were for what the run has not", s.apiServer.refused.Load())
	}
}
