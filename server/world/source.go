package world

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// The names of the sources, as values of a metric's label and of a log line's.
const (
	SourcePrometheus = "prometheus"
	SourceMayastor   = "mayastor"
	// SourceKubernetes is read by package cluster, if at all.
	SourceKubernetes = "kubernetes"
)

// Sources lists the names of those that this package reads.
func Sources() []string { return []string{SourcePrometheus, SourceMayastor} }

// State is how a source is, for health and metrics.
type State struct {
	// Tried is true once one reading has ended, good or not.
	Tried bool
	// Up is true if the last reading was good.
	Up bool
	// Read is when the last good reading began; zero if there was none.
	Read time.Time
	// Reason is why the last reading failed, one of [Reasons]; "" if it did not.
	Reason string
}

// Observer is told what the readers do. Its functions are called from the
// goroutines of the readers, several at once; nil ones are not called.
type Observer struct {
	// Query is called after each query of Prometheus and each reading of
	// Mayastor, with how long it took and its error.
	Query func(source string, took time.Duration, err error)
	// Reading is called after each reading with its reason of failure, or "";
	// not for one that was ended because the service ends.
	Reading func(source, reason string)
}

// Failed tells of a reading that failed.
func (o Observer) Failed(source string, fault *Fault) { o.reading(source, fault) }

func (o Observer) query(source string, took time.Duration, err error) {
	if o.Query != nil {
		o.Query(source, took, err)
	}
}

func (o Observer) reading(source string, err error) {
	if reason := reasonOf(err); o.Reading != nil && reason != Closed {
		o.Reading(source, reason)
	}
}

// reasonOf is the reason of a reading that failed, "" of a good one.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return asFault(err).Reason
}

// source says whether what the snapshot holds may be acted on, and why not.
func source[T any](s *snapshot[T], now time.Time, l Limits, name string) tiering.Source {
	switch {
	case s.fresh(now, l):
		return tiering.Source{OK: true, Since: s.since, Reason: Available, Message: name + " answers."}
	case s == nil:
		return tiering.Source{
			Reason:  NotReadYet,
			Message: fmt.Sprintf("%s has not answered since the service started; no new move starts until it does.", name),
		}
	case s.err != nil:
		f := asFault(s.err)
		return tiering.Source{Reason: f.Reason, Message: f.Message}
	default:
		return tiering.Source{
			Reason:  TooOld,
			Message: fmt.Sprintf("What %s last said is too old to act on and it has not answered anew yet; no new move starts until it does.", name),
		}
	}
}

// transitions logs a source's changes of state and is silent in between. It is
// used by one goroutine at a time.
type transitions struct {
	log    *slog.Logger
	source string
	window time.Duration // 0 where the source has none
	reason string
}

func (t *transitions) note(err error) {
	reason := reasonOf(err)
	if reason == t.reason || reason == Closed {
		return
	}
	attrs := []any{slog.String("source", t.source)}
	if t.window > 0 {
		attrs = append(attrs, slog.String("window", promDuration(t.window)))
	}
	if err != nil {
		t.log.Warn("source is no data", append(attrs, slog.String("reason", reason), slog.Any("err", err))...)
	} else {
		t.log.Info("source is back", attrs...)
	}
	t.reason = reason
}
