package world

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/billyronks/couchestor/tiering"
)

// oracle reads answers with the client library of Prometheus, which takes each in
// whole and makes a map of labels for each element. It is what the reader of this
// package is compared with.
type oracle struct {
	*promClient
	api promv1.API
}

func newOracle(transport http.RoundTripper, timeout time.Duration) (*oracle, error) {
	const address = "http://prom.test:9090"
	c, err := newPromClient(address, nil, transport, timeout)
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.Config{Address: address, Client: c.http})
	if err != nil {
		return nil, err
	}
	return &oracle{promClient: c, api: promv1.NewAPI(client)}, nil
}

// valued is what a vector says of one volume.
type valued struct {
	value float64
	flaw  flaw
}

func (o *oracle) query(ctx context.Context, query string, at time.Time) (map[string]valued, error) {
	value, warnings, _, err := o.api.Query(ctx, query, at, promv1.WithTimeout(o.timeout))
	if e, ok := err.(*promv1.Error); ok {
		err = &apiError{string(e.Type), e.Msg}
	}
	if err != nil {
		return nil, o.fault(ctx, err)
	}
	if w := realWarnings(warnings); len(w) > 0 {
		return nil, &Fault{
			Reason: PartialAnswer,
			Message: fmt.Sprintf("Prometheus at %s warns that its answer may be incomplete (%s), so %s; look at the health of its storage and remote reads.",
				o.host, clip(w[0]), o.consequence),
		}
	}
	vec, ok := value.(model.Vector)
	if !ok {
		what := "no result"
		if value != nil {
			what = "a " + value.Type().String()
		}
		return nil, o.badAnswer(what+" instead of a vector", nil)
	}
	out := make(map[string]valued, len(vec))
	for _, s := range vec {
		if s == nil {
			return nil, o.badAnswer("an empty element in a vector", nil)
		}
		if skew := s.Timestamp.Time().Sub(at).Abs(); skew > maxSkew {
			return nil, o.badAnswer("a value of another time than was asked for", nil)
		}
		name := string(s.Metric[pvName])
		if name == "" {
			continue
		}
		e := valued{float64(s.Value), fine}
		switch _, again := out[name]; {
		case again:
			e.flaw = twice
		case s.Histogram != nil:
			e.flaw = histogram
		case math.IsNaN(e.value):
			e.flaw = notANumber
		case math.IsInf(e.value, 0):
			e.flaw = infinite
		case e.value < 0:
			e.flaw = negative
		}
		out[name] = e
	}
	if len(vec) > 0 && len(out) == 0 {
		return nil, o.badAnswer("a vector without the label "+pvName, nil)
	}
	return out, nil
}

// read makes one round of three queries.
func (o *oracle) read(ctx context.Context, over time.Duration) (map[string]tiering.Sample, error) {
	at := time.Now().Truncate(time.Millisecond)
	step := Step(over, time.Minute)
	var vectors [3]map[string]valued
	for i, query := range []string{
		ScoreQuery(over, step, time.Minute), CoverageQuery(ReadOps, over, step), CoverageQuery(WriteOps, over, step),
	} {
		v, err := o.query(ctx, query, at)
		if err != nil {
			return nil, err
		}
		vectors[i] = v
	}
	score, reads, writes := vectors[0], vectors[1], vectors[2]
	if len(score) == 0 && len(reads) == 0 && len(writes) == 0 {
		return nil, &Fault{Reason: NoData}
	}
	if len(reads) == 0 || len(writes) == 0 {
		return nil, &Fault{Reason: OneSided}
	}
	out := make(map[string]tiering.Sample, len(score))
	for _, names := range []map[string]valued{score, reads, writes} {
		for name := range names {
			out[name] = o.sample(name, score, reads, writes)
		}
	}
	return out, nil
}

func (o *oracle) sample(name string, score, reads, writes map[string]valued) tiering.Sample {
	s, scored := score[name]
	r, read := reads[name]
	w, written := writes[name]
	switch {
	case !read:
		return tiering.UnknownSample("Prometheus has no sample of volume_num_read_ops in the window")
	case !written:
		return tiering.UnknownSample("Prometheus has no sample of volume_num_write_ops in the window")
	case r.flaw != fine:
		return tiering.UnknownSample("The coverage by volume_num_read_ops " + r.flaw.text())
	case w.flaw != fine:
		return tiering.UnknownSample("The coverage by volume_num_write_ops " + w.flaw.text())
	case !scored:
		return tiering.UnknownSample("The window holds too few samples for a rate")
	case s.flaw != fine:
		return tiering.UnknownSample("The score " + s.flaw.text())
	}
	known, err := tiering.NewSample(s.value, min(r.value, w.value))
	if err != nil {
		panic(err)
	}
	return known
}
