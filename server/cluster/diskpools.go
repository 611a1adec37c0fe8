package cluster

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/hooks"
)

// diskPoolGroup is the API group of DiskPools. Its versions come and go with those
// of Mayastor (MS 6.1).
const diskPoolGroup = "openebs.io"

// followDiskPools follows DiskPools in the version that is served, as long as one
// is. Where none is there are none, which is no fault.
func (r *Reader) followDiskPools(ctx context.Context, k *kind) {
	again := time.NewTicker(r.cfg.Limits.Discover)
	defer again.Stop()
	stop := func() {}
	defer func() { stop() }()
	following, known := "", false
	for {
		version, err := r.diskPoolVersion(ctx)
		switch {
		case err != nil:
			k.failed(ctx, "find out the version of", err)
		case version == "":
			stop()
			fresh := following != "" || !known
			if fresh {
				r.mirror.Replace(k.Kind, nil)
			}
			following, known, stop = "", true, func() {}
			k.seen(fresh)
		case version != following:
			stop()
			following, known = version, true
			k.path = "/apis/" + diskPoolGroup + "/" + version + "/" + hooks.DiskPools.String()
			stop = k.begin(ctx)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// diskPoolVersion returns the version in which DiskPools are served, the one the
// server prefers if there are several; empty if there is none.
func (r *Reader) diskPoolVersion(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var group metav1.APIGroup
	if err := r.discover(ctx, "/apis/"+diskPoolGroup, &group); err != nil {
		return "", err
	}
	versions := []string{group.PreferredVersion.Version}
	for _, v := range group.Versions {
		versions = append(versions, v.Version)
	}
	for i, version := range versions {
		if version == "" || slices.Contains(versions[:i], version) {
			continue
		}
		var resources metav1.APIResourceList
		if err := r.discover(ctx, "/apis/"+diskPoolGroup+"/"+version, &resources); err != nil {
			return "", err
		}
		if slices.ContainsFunc(resources.APIResources, func(a metav1.APIResource) bool { return a.Name == hooks.DiskPools.String() }) {
			return version, nil
		}
	}
	return "", nil
}

// discover reads what the server says of itself at a path; nothing if there is no
// such path.
func (r *Reader) discover(ctx context.Context, path string, into any) error {
	text, err := r.client.Get().AbsPath(path).SetHeader("Accept", whole).DoRaw(ctx)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return badAnswer(err)
	}
	return nil
}
