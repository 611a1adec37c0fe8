package hooks

import (
	"cmp"
	"io"
	"net/http"
	"slices"

	"github.com/billyronks/couchestor/tiering"
)

// The outer keys of children and related (MC 2.2).
const (
	jobsKey     = "Job.batch/v1"
	volumesKey  = "PersistentVolume.v1"
	claimsKey   = "PersistentVolumeClaim.v1"
	policiesKey = tiering.Kind + "." + tiering.APIVersion
)

// decoder reads requests, and objects as the API server sends them. It is used
// for one stream.
type decoder struct {
	*scanner
	// unrelated is true if what is related comes from elsewhere: the request's
	// own part is not looked at, be it empty, absent, or what an older customize
	// answer asked for.
	unrelated bool
	// diskPools is the outer key of DiskPools in related, "" if none were asked for.
	diskPools string
	// claims tells whether claims were asked for.
	claims bool
	// texts holds short texts seen before, so that ten thousand volumes share
	// one copy of their class, labels and namespaces.
	texts map[string]string
	// sets holds labels seen before, by their JSON, and none is the memory of the
	// volumes without one.
	sets map[string]map[string]string
	none *memory
	// versions tells whether version is to be that of the last object read.
	versions bool
	version  string
}

// The bounds of decoder.texts and decoder.sets.
const (
	sharedTexts     = 4096
	sharedTextBytes = 32 // shorter than a uuid, which is different each time
	sharedSets      = 1024
	sharedSetBytes  = 1024
)

func newDecoder(body io.Reader) *decoder {
	return &decoder{scanner: newScanner(body), texts: make(map[string]string, 64), sets: make(map[string]map[string]string), none: new(memory)}
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

// request reads a request. It calls begin once, before it reads what may be large:
// the children, and what is related. As Metacontroller sends it, the policy comes
// before them, and begin gets it; else it gets nil.
func (d *decoder) request(begin func(*parent) error) (*request, error) {
	var r request
	names := []string{"parent", "children", "related", "finalizing"}
	var given [4]bool
	begun := false
	large := func(p *parent) error {
		if begun {
			return nil
		}
		begun = true
		return begin(p)
	}
	err := d.members(names, func(i int) (err error) {
		given[i] = true
		switch i {
		case 0:
			if r.Parent, err = d.policy(true); err == nil {
				err = large(&r.Parent)
			}
		case 1:
			if err = large(nil); err == nil {
				r.Children, err = d.children()
			}
		case 2:
			if err = large(nil); err != nil {
				return err
			}
			if d.unrelated {
				return d.skip()
			}
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
	given[2] = given[2] || d.unrelated
	if i := slices.Index(given[:], false); i >= 0 {
		return nil, lacks(names[i])
	}
	return &r, r.sort()
}

func lacks(name string) error {
	return badRequest("the request has no %q, which Metacontroller always sends; nothing was done: call the hook as Metacontroller does", name)
}

// children reads the Jobs. A kind it does not know would be deleted by an
// answer that does not name it, so such a request has no answer.
func (d *decoder) children() (jobs []*job, err error) {
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
// means that Metacontroller works with an older answer (MC 2.2, 4.2), such as the
// empty one of a service that read Kubernetes itself: an empty list taken for the
// truth would say that there are no volumes.
func (d *decoder) related() (*View, error) {
	r := new(View)
	names := []string{volumesKey, policiesKey, jobsKey}
	if d.claims {
		names = append(names, claimsKey)
	}
	if d.diskPools != "" {
		names = append(names, d.diskPools)
	}
	var given uint8
	err := d.members(names, func(i int) error {
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
			err = faultf(http.StatusServiceUnavailable, "the request's related objects have no key %s: Metacontroller still uses an older customize answer, which it forgets after 20 minutes; nothing was done, Jobs stay: wait, restart Metacontroller, or change the policy's spec", clip(name))
		}
	}
	return r, err
}

// sort puts every list of the request in the order of names, drops volumes of
// other drivers, and refuses an object given twice.
func (r *request) sort() error {
	if r.Related == nil {
		return sortByKey(r.Children)
	}
	r.Related.Volumes = slices.DeleteFunc(r.Related.Volumes, func(v *volume) bool { return v.Handle == "" })
	return cmp.Or(
		sortByKey(r.Children),
		sortByKey(r.Related.Jobs),
		sortByKey(r.Related.Volumes),
		sortByKey(r.Related.Claims),
		sortByKey(r.Related.Policies),
		sortByKey(r.Related.DiskPools),
	)
}

func sortByKey[T Object](list []T) error {
	if !slices.IsSortedFunc(list, byKey) {
		slices.SortFunc(list, byKey)
	}
	for i := range list[min(1, len(list)):] {
		if byKey(list[i], list[i+1]) == 0 {
			return badRequest("the request has %s twice in one list, and it cannot be known which is meant; nothing was done: look at what sends it", clip(list[i].key().name))
		}
	}
	return nil
}
