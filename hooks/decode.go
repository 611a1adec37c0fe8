package hooks

import (
	"cmp"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// The outer keys of children and related (MC 2.2).
const (
	jobsKey     = "Job.batch/v1"
	volumesKey  = "PersistentVolume.v1"
	claimsKey   = "PersistentVolumeClaim.v1"
	policiesKey = tiering.Kind + "." + tiering.APIVersion
)

// csiDriver is the driver of Mayastor (MS 6.2).
const csiDriver = "io.openebs.csi-mayastor"

// decoder reads requests. It is used for one request.
type decoder struct {
	*scanner
	// diskPools is the outer key of DiskPools in related, "" if none were asked for.
	diskPools string
	// claims tells whether claims were asked for.
	claims bool
	// texts holds short texts seen before, so that ten thousand volumes share
	// one copy of their class, labels and namespaces.
	texts map[string]string
}

// The bounds of decoder.texts.
const (
	sharedTexts     = 4096
	sharedTextBytes = 32 // shorter than a uuid, which is different each time
)

func newDecoder(body io.Reader) *decoder {
	return &decoder{scanner: newScanner(body), texts: make(map[string]string, 64)}
}

// customizeRequest reads a customize request. The answer is the same for every
// policy, so it only makes sure that one asks.
func (d *decoder) customizeRequest() error {
	given := false
	err := d.members([]string{"parent"}, func(int) error {
		given = true
		_, err := d.policy(false)
		return err
	})
	if err == nil && !given {
		err = lacks("parent")
	}
	return cmp.Or(err, d.finish())
}

func (d *decoder) request() (*request, error) {
	var r request
	names := []string{"parent", "children", "related", "finalizing"}
	var given [4]bool
	err := d.members(names, func(i int) (err error) {
		given[i] = true
		switch i {
		case 0:
			r.Parent, err = d.policy(true)
		case 1:
			r.Children, err = d.children()
		case 2:
			r.Related, err = d.related()
		case 3:
			r.Finalizing, err = d.boolean()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := d.finish(); err != nil {
		return nil, err
	}
	if i := slices.Index(given[:], false); i >= 0 {
		return nil, lacks(names[i])
	}
	if err := r.sort(); err != nil {
		return nil, err
	}
	return &r, nil
}

func lacks(name string) error {
	return badRequest("the request has no %q, which Metacontroller always sends; nothing was done: call the hook as Metacontroller does", name)
}

// children reads the Jobs. A kind it does not know would be deleted by an
// answer that does not name it, so such a request has no answer.
func (d *decoder) children() (jobs []job, err error) {
	given := false
	err = d.object(func(kind []byte) error {
		if string(kind) != jobsKey {
			other := string(kind)
			return d.object(func([]byte) error {
				return faultf(http.StatusInternalServerError, "the request has children of kind %s, and an answer without them would delete them; nothing was done: let the CompositeController list Jobs of batch/v1 and no other child kind", clip(other))
			})
		}
		if given {
			return d.twice(jobsKey)
		}
		given = true
		return each(d, &jobs, d.job)
	})
	if err == nil && !given {
		err = faultf(http.StatusInternalServerError, "the request's children have no key %s, so which Jobs run cannot be known; nothing was done: let the CompositeController list batch/v1 jobs as a child", jobsKey)
	}
	return jobs, err
}

// related reads what the customize answer asked for. A key that is missing
// means that Metacontroller works with an older answer (MC 2.2, 4.2): an
// empty list taken for the truth would say that there are no volumes.
func (d *decoder) related() (r related, err error) {
	names := []string{volumesKey, policiesKey, jobsKey}
	if d.claims {
		names = append(names, claimsKey)
	}
	if d.diskPools != "" {
		names = append(names, d.diskPools)
	}
	var given uint8
	err = d.members(names, func(i int) error {
		given |= 1 << i
		switch names[i] {
		case volumesKey:
			return each(d, &r.Volumes, d.volume)
		case claimsKey:
			return each(d, &r.Claims, d.claim)
		case policiesKey:
			return each(d, &r.Policies, func() (parent, error) { return d.policy(false) })
		case jobsKey:
			return each(d, &r.Jobs, d.job)
		}
		return each(d, &r.DiskPools, d.diskPool)
	})
	for i, name := range names {
		if err == nil && given&(1<<i) == 0 {
			err = faultf(http.StatusServiceUnavailable, "the request's related objects have no key %s: Metacontroller still uses an older customize answer, which it forgets after 20 minutes; nothing was done: wait, or touch the policy's spec", clip(name))
		}
	}
	return r, err
}

// each reads the values of an object into list.
func each[T any](d *decoder, list *[]T, read func() (T, error)) error {
	return d.object(func([]byte) error {
		value, err := read()
		if err == nil {
			*list = append(*list, value)
		}
		return err
	})
}

// policy reads a StoragePolicy; the status only if asked to.
func (d *decoder) policy(status bool) (p parent, err error) {
	names := []string{"metadata", "spec", "status"}
	if !status {
		names = names[:2]
	}
	err = d.members(names, func(i int) (err error) {
		switch i {
		case 0:
			return d.members([]string{"name", "uid", "creationTimestamp", "deletionTimestamp", "generation"}, func(i int) (err error) {
				switch i {
				case 0:
					p.Name, err = d.text()
				case 1:
					p.UID, err = d.text()
				case 2:
					p.Created, err = d.time()
				case 3:
					p.Deleting, err = d.present()
				case 4:
					p.Generation, err = d.integer()
				}
				return err
			})
		case 1:
			p.Spec, err = d.tree()
		case 2:
			p.Status, err = d.tree()
		}
		return err
	})
	return p, cmp.Or(err, named(tiering.Kind, p.Name))
}

func (d *decoder) volume() (v volume, err error) {
	driverIs := ""
	err = d.members([]string{"metadata", "spec"}, func(i int) error {
		if i == 0 {
			return d.members([]string{"name", "uid", "deletionTimestamp", "labels", "annotations"}, func(i int) (err error) {
				switch i {
				case 0:
					v.Name, err = d.text()
				case 1:
					v.UID, err = d.text()
				case 2:
					v.Deleting, err = d.present()
				case 3:
					v.Labels, err = d.pairs()
				case 4:
					v.Memory, err = d.memory()
				}
				return err
			})
		}
		return d.members([]string{"storageClassName", "csi", "claimRef"}, func(i int) (err error) {
			switch i {
			case 0:
				v.StorageClass, err = d.text()
			case 1:
				return d.optional([]string{"driver", "volumeHandle"}, &driverIs, &v.Handle)
			case 2:
				return d.optional([]string{"namespace", "name", "uid"}, &v.Claim.Namespace, &v.Claim.Name, &v.Claim.UID)
			}
			return err
		})
	})
	if driverIs != csiDriver {
		v = volume{Name: v.Name}
	}
	return v, cmp.Or(err, named("PersistentVolume", v.Name))
}

// memory reads a volume's annotations and keeps what the two of ours say.
func (d *decoder) memory() (memory, error) {
	var attempt, lastMigration string
	err := d.optional([]string{mayastor.AttemptAnnotation, mayastor.LastMigrationAnnotation}, &attempt, &lastMigration)
	return readMemory(attempt, lastMigration), err
}

func (d *decoder) claim() (c claim, err error) {
	err = d.members([]string{"metadata"}, func(int) error {
		return d.members([]string{"namespace", "name", "uid", "labels"}, func(i int) (err error) {
			switch i {
			case 0:
				c.Namespace, err = d.text()
			case 1:
				c.Name, err = d.text()
			case 2:
				c.UID, err = d.text()
			case 3:
				c.Labels, err = d.pairs()
			}
			return err
		})
	})
	return c, cmp.Or(err, named("PersistentVolumeClaim", c.Name))
}

func (d *decoder) job() (j job, err error) {
	err = d.members([]string{"metadata", "status"}, func(i int) error {
		if i == 1 {
			return d.jobStatus(&j)
		}
		return d.members([]string{"namespace", "name", "uid", "creationTimestamp", "deletionTimestamp", "labels", "annotations"}, func(i int) (err error) {
			switch i {
			case 0:
				j.Namespace, err = d.text()
			case 1:
				j.Name, err = d.text()
			case 2:
				j.UID, err = d.text()
			case 3:
				j.Created, err = d.time()
			case 4:
				j.Deleting, err = d.present()
			case 5:
				j.Labels, err = d.pairs()
			case 6:
				j.Annotations, err = d.ownPairs()
			}
			return err
		})
	})
	return j, cmp.Or(err, named("Job", j.Name))
}

func (d *decoder) jobStatus(j *job) error {
	if null, err := d.null(); null || err != nil {
		return err
	}
	return d.members([]string{"conditions"}, func(int) error {
		if null, err := d.null(); null || err != nil {
			return err
		}
		return d.array(func() error {
			var c condition
			var status, at string
			if err := d.optional([]string{"type", "status", "reason", "message", "lastTransitionTime"}, &c.Type, &status, &c.Reason, &c.Message, &at); err != nil {
				return err
			}
			if (c.Type != "Complete" && c.Type != "Failed") || status != "True" || j.Ended.Type != "" {
				return nil
			}
			var err error
			if at != "" {
				c.At, err = parseTime(at)
			}
			j.Ended = c
			return err
		})
	})
}

func (d *decoder) diskPool() (p diskPool, err error) {
	err = d.members([]string{"metadata"}, func(int) error {
		return d.members([]string{"namespace", "name", "labels"}, func(i int) (err error) {
			switch i {
			case 0:
				p.Namespace, err = d.text()
			case 1:
				p.Name, err = d.text()
			case 2:
				p.Labels, err = d.pairs()
			}
			return err
		})
	})
	return p, cmp.Or(err, named("DiskPool", p.Name))
}

// named refuses an object without a name.
func named(kind, name string) error {
	if name != "" {
		return nil
	}
	return badRequest("a %s in the request has no metadata.name; nothing was done: look at what sends it", kind)
}

// text reads a string; null is "".
func (d *decoder) text() (string, error) {
	if null, err := d.null(); null || err != nil {
		return "", err
	}
	b, err := d.bytes()
	if err != nil || len(b) == 0 {
		return "", err
	}
	return d.shared(b), nil
}

// shared returns b as a string, the same copy for equal short ones.
func (d *decoder) shared(b []byte) string {
	if len(b) > sharedTextBytes {
		return string(b)
	}
	if text, ok := d.texts[string(b)]; ok {
		return text
	}
	text := string(b)
	if len(d.texts) < sharedTexts {
		d.texts[text] = text
	}
	return text
}

// optional reads an object, or null, of which only strings are wanted.
func (d *decoder) optional(names []string, into ...*string) error {
	if null, err := d.null(); null || err != nil {
		return err
	}
	return d.members(names, func(i int) (err error) {
		*into[i], err = d.text()
		return err
	})
}

// pairs reads labels; nil for null or none.
func (d *decoder) pairs() (map[string]string, error) {
	return d.pairsIf(func([]byte) bool { return true })
}

// ownPairs reads the annotations that are ours.
func (d *decoder) ownPairs() (map[string]string, error) {
	return d.pairsIf(func(name []byte) bool {
		return strings.HasPrefix(string(name), tiering.Group+"/")
	})
}

func (d *decoder) pairsIf(wanted func(name []byte) bool) (map[string]string, error) {
	if null, err := d.null(); null || err != nil {
		return nil, err
	}
	var pairs map[string]string
	err := d.object(func(name []byte) error {
		if !wanted(name) {
			return d.skip()
		}
		if _, ok := pairs[string(name)]; ok {
			return d.twice(string(name))
		}
		key := d.shared(name)
		value, err := d.text()
		if err != nil {
			return err
		}
		if pairs == nil {
			pairs = make(map[string]string)
		}
		pairs[key] = value
		return nil
	})
	return pairs, err
}

// present reads whether a value is there at all; null and "" are not.
func (d *decoder) present() (bool, error) {
	text, err := d.text()
	return text != "", err
}

// time reads a time of Kubernetes; null is the zero time.
func (d *decoder) time() (time.Time, error) {
	text, err := d.text()
	if err != nil || text == "" {
		return time.Time{}, err
	}
	return parseTime(text)
}

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, badRequest("the request has %q where a time such as 2026-01-02T15:04:05Z should be; nothing was done: look at what sends it", clip(text))
	}
	return t.UTC(), nil
}

// integer reads a whole number; null is 0.
func (d *decoder) integer() (int64, error) {
	b, err := d.raw()
	if err != nil || string(b) == "null" {
		return 0, err
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, badRequest("the request has %s where a whole number should be; nothing was done: look at what sends it", clip(string(b)))
	}
	return n, nil
}

// tree reads a value as text and refuses names given twice at any depth; null
// is nil.
func (d *decoder) tree() ([]byte, error) {
	text, err := d.raw()
	if err != nil || string(text) == "null" {
		return nil, err
	}
	if text[0] != '{' {
		return text, nil
	}
	inner := &scanner{buf: text, end: len(text), keep: -1, exhausted: io.EOF}
	return text, inner.unique()
}

// unique consumes a value and refuses names given twice.
func (s *scanner) unique() error {
	c, err := s.peek()
	switch {
	case err != nil:
		return err
	case c == '[':
		return s.array(s.unique)
	case c != '{':
		return s.skip()
	}
	seen := make(map[string]bool)
	return s.object(func(name []byte) error {
		if seen[string(name)] {
			return s.twice(string(name))
		}
		seen[string(name)] = true
		return s.unique()
	})
}

// sort puts every list in the order of names, drops volumes of other drivers,
// and refuses an object given twice.
func (r *request) sort() error {
	r.Related.Volumes = slices.DeleteFunc(r.Related.Volumes, func(v volume) bool { return v.Handle == "" })
	return cmp.Or(
		sortBy(r.Children, jobName),
		sortBy(r.Related.Jobs, jobName),
		sortBy(r.Related.Volumes, func(v *volume) (string, string) { return "", v.Name }),
		sortBy(r.Related.Claims, func(c *claim) (string, string) { return c.Namespace, c.Name }),
		sortBy(r.Related.Policies, func(p *parent) (string, string) { return "", p.Name }),
		sortBy(r.Related.DiskPools, func(p *diskPool) (string, string) { return p.Namespace, p.Name }),
	)
}

func jobName(j *job) (namespace, name string) { return j.Namespace, j.Name }

// sortBy sorts by namespace, then name.
func sortBy[T any](list []T, name func(*T) (namespace, name string)) error {
	compare := func(a, b T) int {
		aSpace, aName := name(&a)
		bSpace, bName := name(&b)
		return cmp.Or(cmp.Compare(aSpace, bSpace), cmp.Compare(aName, bName))
	}
	if !slices.IsSortedFunc(list, compare) {
		slices.SortFunc(list, compare)
	}
	for i := range list[min(1, len(list)):] {
		if compare(list[i], list[i+1]) == 0 {
			_, twice := name(&list[i])
			return badRequest("the request has %s twice in one list, and it cannot be known which is meant; nothing was done: look at what sends it", clip(twice))
		}
	}
	return nil
}
