package hooks

import (
	"cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// csiDriver is the driver of Mayastor (MS 6.2).
const csiDriver = "io.openebs.csi-mayastor"

// each reads the values of an object into list.
func each[T any](d *decoder, list *[]*T, read func() (T, error)) error {
	return d.object(func([]byte) error {
		value, err := read()
		if err == nil {
			*list = append(*list, &value)
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
			return d.metadata([]string{"name", "uid", "creationTimestamp", "deletionTimestamp", "generation", "annotations"}, func(i int) (err error) {
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
				case 5:
					err = d.optional([]string{tiering.ApproveAnnotation}, &p.Approve)
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
			return d.metadata([]string{"name", "deletionTimestamp", "labels", "annotations"}, func(i int) (err error) {
				switch i {
				case 0:
					v.Name, err = d.text()
				case 1:
					v.Deleting, err = d.present()
				case 2:
					v.Labels, err = d.labels()
				case 3:
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
	if v.Memory == nil {
		v.Memory = d.none
	}
	// A volume is named after its uuid, which is its claim's.
	v.Handle, v.Claim.UID = within(v.Name, v.Handle), within(v.Name, v.Claim.UID)
	return v, cmp.Or(err, named("PersistentVolume", v.Name))
}

// memory reads a volume's annotations and keeps what the two of ours say.
func (d *decoder) memory() (*memory, error) {
	var attempt, lastMigration string
	err := d.optional([]string{mayastor.AttemptAnnotation, mayastor.LastMigrationAnnotation}, &attempt, &lastMigration)
	if attempt == "" && lastMigration == "" {
		return d.none, err
	}
	m := readMemory(attempt, lastMigration)
	for _, text := range []*string{&m.Attempt.Policy, &m.Attempt.To, (*string)(&m.Attempt.State), &m.Attempt.Reason, &m.From} {
		*text = d.shared([]byte(*text))
	}
	return &m, err
}

func (d *decoder) claim() (c claim, err error) {
	err = d.members([]string{"metadata"}, func(int) error {
		return d.metadata([]string{"namespace", "name", "uid", "labels"}, func(i int) (err error) {
			switch i {
			case 0:
				c.Namespace, err = d.text()
			case 1:
				c.Name, err = d.text()
			case 2:
				c.UID, err = d.text()
			case 3:
				c.Labels, err = d.labels()
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
		return d.metadata([]string{"namespace", "name", "uid", "creationTimestamp", "deletionTimestamp", "labels", "annotations"}, func(i int) (err error) {
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
		return d.metadata([]string{"namespace", "name", "labels"}, func(i int) (err error) {
			switch i {
			case 0:
				p.Namespace, err = d.text()
			case 1:
				p.Name, err = d.text()
			case 2:
				p.Labels, err = d.labels()
			}
			return err
		})
	})
	return p, cmp.Or(err, named("DiskPool", p.Name))
}
