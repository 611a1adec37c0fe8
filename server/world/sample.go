package world

import (
	"fmt"

	"github.com/billyronks/couchestor/tiering"
)

// samples joins the three vectors of one round. A volume has a known sample
// only if it is in all three and no value has a flaw; every other volume that
// is in any of them has a sample that says why it is unknown. The error is a
// [*Fault] that concerns all volumes.
func (c *promClient) samples(score, reads, writes map[string]element) (map[string]tiering.Sample, error) {
	if len(score) == 0 && len(reads) == 0 && len(writes) == 0 {
		return nil, &Fault{
			Reason: NoData,
			Message: fmt.Sprintf("Prometheus at %s has no sample of %s and %s in the window, so scores are unknown and no new move starts; check that it scrapes Mayastor's metrics exporter and that volumes are published.",
				c.host, ReadOps, WriteOps),
		}
	}
	if len(reads) == 0 || len(writes) == 0 {
		missing := ReadOps
		if len(writes) == 0 {
			missing = WriteOps
		}
		return nil, &Fault{
			Reason: OneSided,
			Message: fmt.Sprintf("Prometheus at %s has no sample of %s in the window, so scores are unknown and no new move starts; check the relabelling of the scrape.",
				c.host, missing),
		}
	}
	out := make(map[string]tiering.Sample, len(score))
	for _, names := range []map[string]element{score, reads, writes} {
		for name := range names {
			if _, done := out[name]; !done {
				out[name] = sample(name, score, reads, writes)
			}
		}
	}
	return out, nil
}

// sample is what the three vectors say of one volume that is in any of them.
func sample(name string, score, reads, writes map[string]element) tiering.Sample {
	s, scored := score[name]
	r, read := reads[name]
	w, written := writes[name]
	switch {
	case !read:
		return tiering.UnknownSample("Prometheus has no sample of " + ReadOps + " in the window")
	case !written:
		return tiering.UnknownSample("Prometheus has no sample of " + WriteOps + " in the window")
	case r.flaw != "":
		return tiering.UnknownSample("The coverage by " + ReadOps + " " + r.flaw)
	case w.flaw != "":
		return tiering.UnknownSample("The coverage by " + WriteOps + " " + w.flaw)
	case !scored:
		return tiering.UnknownSample("The window holds too few samples for a rate")
	case s.flaw != "":
		return tiering.UnknownSample("The score " + s.flaw)
	}
	known, err := tiering.NewSample(s.value, min(r.value, w.value))
	if err != nil {
		return tiering.UnknownSample("Prometheus answers with a " + err.Error())
	}
	return known
}
