package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/driver"
)

// mirror stands for the API server between the migrators and the rest: what
// they write into the ledger directory it writes on the objects that a
// migrator in a cluster would write on.
type mirror struct {
	api *driver.API
	dir string
}

// record is what the directory ledger holds of one volume.
type record struct {
	attempt, lastMigration, result string
}

// read returns the record. The result is read first: a migrator writes it
// last, so what it says is never newer than the rest.
func (m *mirror) read(uuid string) (record, error) {
	var r record
	for _, file := range []struct {
		kind string
		text *string
	}{{"result", &r.result}, {"last-migration", &r.lastMigration}, {"attempt", &r.attempt}} {
		text, err := os.ReadFile(filepath.Join(m.dir, "volume-"+uuid+"."+file.kind))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return record{}, fmt.Errorf("read the ledger of volume %s: %w", uuid, err)
		}
		*file.text = strings.TrimSpace(string(text))
	}
	return r, nil
}

// copy brings the volume's record to its PersistentVolume and then to the Job
// whose number the result bears, in the order in which a migrator writes.
func (m *mirror) copy(uuid, namespace string) error {
	r, err := m.read(uuid)
	if err != nil {
		return err
	}
	err = m.annotate(driver.Ref{APIVersion: "v1", Kind: "PersistentVolume", Name: "pvc-" + uuid}, map[string]string{
		mayastor.AttemptAnnotation: r.attempt, mayastor.LastMigrationAnnotation: r.lastMigration,
	})
	if err != nil || r.result == "" {
		return err
	}
	var result mayastor.Result
	if err := json.Unmarshal([]byte(r.result), &result); err != nil {
		return fmt.Errorf("read the result of volume %s: %w", uuid, err)
	}
	job := fmt.Sprintf("couchestor-%s-%d", uuid, result.N)
	ref := driver.Ref{APIVersion: "batch/v1", Kind: "Job", Namespace: namespace, Name: job}
	err = m.annotate(ref, map[string]string{mayastor.ResultAnnotation: r.result})
	if apierrors.IsNotFound(err) {
		return nil // the Job is gone; the PersistentVolume has the record
	}
	return err
}

// result is that of the volume's last attempt.
func (m *mirror) result(uuid string) (mayastor.Result, error) {
	var result mayastor.Result
	r, err := m.read(uuid)
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal([]byte(r.result), &result); err != nil {
		return result, fmt.Errorf("read the result of volume %s: %w", uuid, err)
	}
	return result, nil
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
