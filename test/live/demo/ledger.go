package main

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/driver"
	"github.com/billyronks/couchestor/test/live/program"
)

// mirror stands for the API server between the migrators and the rest: what
// they write into the ledger directory it writes on the objects that a
// migrator in a cluster would write on.
type mirror struct {
	api *driver.API
	dir string
}

// copy brings the volume's record to its PersistentVolume and then to the Job
// whose number the result bears, in the order in which a migrator writes.
func (m *mirror) copy(uuid, namespace string) error {
	r, err := program.ReadRecord(m.dir, uuid)
	if err != nil {
		return err
	}
	err = m.annotate(driver.Ref{APIVersion: "v1", Kind: "PersistentVolume", Name: "pvc-" + uuid}, map[string]string{
		mayastor.AttemptAnnotation: r.Attempt, mayastor.LastMigrationAnnotation: r.LastMigration,
	})
	if err != nil || r.Result == "" {
		return err
	}
	result, err := r.Read()
	if err != nil {
		return err
	}
	job := fmt.Sprintf("couchestor-%s-%d", uuid, result.N)
	ref := driver.Ref{APIVersion: "batch/v1", Kind: "Job", Namespace: namespace, Name: job}
	err = m.annotate(ref, map[string]string{mayastor.ResultAnnotation: r.Result})
	if apierrors.IsNotFound(err) {
		return nil // the Job is gone; the PersistentVolume has the record
	}
	return err
}

// annotate sets the annotations that have a value; what is the same already
// causes no event.
func (m *mirror) annotate(ref driver.Ref, values map[string]string) error {
	_, err := m.api.Edit(ref, func(o *driver.Object) {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		for key, value := range values {
			if value != "" {
				annotations[key] = value
			}
		}
		if len(annotations) > 0 {
			o.SetAnnotations(annotations)
		}
	})
	if err != nil {
		return fmt.Errorf("annotate %s: %w", ref, err)
	}
	return nil
}
