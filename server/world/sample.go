package world

import (
	"context"
	"fmt"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// The vectors of one reading.
const (
	scoreVector = iota
	readsVector
	writesVector
	vectors
)

// reading joins the vectors of one round as they come in.
type reading struct {
	// index has the row of each volume, by its pv_name.
	index map[string]int32
	rows  []row
	// named is how many volumes are in each vector.
	named [vectors]int
}

// row is what the vectors say of one volume, which need not be in any.
type row struct {
	values [vectors]float64
	flaws  [vectors]flaw
}

// newReading returns a reading of no vector, with a row for each volume that was
// known before. So the names of volumes, a third of what is kept of them, are
// held once however many windows there are.
func newReading(known map[string]tiering.Sample) *reading {
	r := &reading{index: make(map[string]int32, len(known)), rows: make([]row, len(known))}
	for name := range known {
		r.index[name] = int32(len(r.index))
	}
	return r
}

// put takes down what one of the vectors says of a volume.
func (r *reading) put(vector int, e element) {
	i, known := r.index[string(e.name)]
	if !known {
		i = int32(len(r.rows))
		r.index[string(e.name)] = i
		r.rows = append(r.rows, row{})
	}
	row := &r.rows[i]
	if row.flaws[vector] != absent {
		row.flaws[vector] = twice
		return
	}
	r.named[vector]++
	row.values[vector], row.flaws[vector] = e.value, e.flaw()
}

// vector evaluates the query at one instant and takes its elements down as those
// of one of the vectors. Elements without a pv_name belong to no volume and are
// left out, unless all are without. The error is a [*Fault], after which the
// reading is of no further use.
func (c *promClient) vector(ctx context.Context, query string, at time.Time, r *reading, vector int) error {
	elements := 0
	err := c.query(ctx, query, at, func(e element) string {
		elements++
		if len(e.name) > 0 {
			r.put(vector, e)
		}
		return ""
	})
	if err == nil && elements > 0 && r.named[vector] == 0 {
		err = c.badAnswer("a vector without the label "+pvName, nil)
	}
	return err
}

// samples makes of the three vectors of one round what they say of each volume.
// A volume has a known sample only if it is in all three and no value has a flaw;
// every other volume that is in any of them has a sample that says why it is
// unknown. The error is a [*Fault] that concerns all volumes.
func (c *promClient) samples(r *reading) (map[string]tiering.Sample, error) {
	if r.named == [vectors]int{} {
		return nil, &Fault{
			Reason: NoData,
			Message: fmt.Sprintf("Prometheus at %s has no sample of %s and %s in the window, so scores are unknown and no new move starts; check that it scrapes Mayastor's metrics exporter and that volumes are published.",
				c.host, ReadOps, WriteOps),
		}
	}
	if r.named[readsVector] == 0 || r.named[writesVector] == 0 {
		missing := ReadOps
		if r.named[writesVector] == 0 {
			missing = WriteOps
		}
		return nil, &Fault{
			Reason: OneSided,
			Message: fmt.Sprintf("Prometheus at %s has no sample of %s in the window, so scores are unknown and no new move starts; check the relabelling of the scrape.",
				c.host, missing),
		}
	}
	n := 0
	for i := range r.rows {
		if r.rows[i].seen() {
			n++
		}
	}
	out := make(map[string]tiering.Sample, n)
	for name, i := range r.index {
		if row := &r.rows[i]; row.seen() {
			out[name] = row.sample()
		}
	}
	return out, nil
}

// seen reports whether the volume is in any vector.
func (r *row) seen() bool { return r.flaws != [vectors]flaw{} }

// sample is what the three vectors say of one volume that is in any of them.
func (r *row) sample() tiering.Sample {
	score, reads, writes := r.flaws[scoreVector], r.flaws[readsVector], r.flaws[writesVector]
	switch {
	case reads == absent:
		return tiering.UnknownSample("Prometheus has no sample of " + ReadOps + " in the window")
	case writes == absent:
		return tiering.UnknownSample("Prometheus has no sample of " + WriteOps + " in the window")
	case reads != fine:
		return tiering.UnknownSample("The coverage by " + ReadOps + " " + reads.text())
	case writes != fine:
		return tiering.UnknownSample("The coverage by " + WriteOps + " " + writes.text())
	case score == absent:
		return tiering.UnknownSample("The window holds too few samples for a rate")
	case score != fine:
		return tiering.UnknownSample("The score " + score.text())
	}
	known, err := tiering.NewSample(r.values[scoreVector], min(r.values[readsVector], r.values[writesVector]))
	if err != nil {
		return tiering.UnknownSample("Prometheus answers with a " + err.Error())
	}
	return known
}
