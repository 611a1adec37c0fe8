package main

import (
	"io"
	"time"
)

// The outer keys of a request (MC 2.2), each with the path of its kind, in the order
// of the keys.
var relatedKinds = []struct{ key, path string }{
	{"DiskPool.openebs.io/v1beta3", diskPoolsPath},
	{"Job.batch/v1", jobsPath},
	{"PersistentVolume.v1", volumesPath},
	{"PersistentVolumeClaim.v1", claimsPath},
	{"StoragePolicy.storage.billyronks.io/v1", policiesPath},
}

const (
	head = `{"controller":{"apiVersion":"metacontroller.k8s.io/v1alpha1","kind":"CompositeController","metadata":{"name":"storagepolicy"},"spec":{"generateSelector":true,"resyncPeriodSeconds":300},"status":{}},"parent":`
	tail = `,"finalizing":false}`
)

// body is a request as it is sent: pieces that are never copied together.
type body struct {
	pieces [][]byte
	length int64
	// sent is when its last byte was taken to be sent.
	sent time.Time
	// at and in are where reading is.
	at, in int
}

func (b *body) add(piece []byte) {
	b.pieces = append(b.pieces, piece)
	b.length += int64(len(piece))
}

// objects adds entries as a JSON object.
func (b *body) objects(key string, entries []*entry) {
	b.add([]byte(`"` + key + `":{`))
	for i, e := range entries {
		if i > 0 {
			b.add(comma)
		}
		b.add(e.member)
	}
	b.add([]byte("}"))
}

var comma = []byte{','}

// newBody is the request for a policy, which is given with its children. related is
// called for each kind that was asked for; nil asks for none.
func newBody(parent []byte, children []*entry, related func(path string) []*entry) *body {
	b := new(body)
	b.add([]byte(head))
	b.add(parent)
	b.add([]byte(`,"children":{`))
	b.objects("Job.batch/v1", children)
	b.add([]byte(`},"related":{`))
	if related != nil {
		for i, kind := range relatedKinds {
			if i > 0 {
				b.add(comma)
			}
			b.objects(kind.key, related(kind.path))
		}
	}
	b.add([]byte("}"))
	b.add([]byte(tail))
	return b
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (n int, err error) {
	for n < len(p) && b.at < len(b.pieces) {
		copied := copy(p[n:], b.pieces[b.at][b.in:])
		n, b.in = n+copied, b.in+copied
		if b.in == len(b.pieces[b.at]) {
			b.at, b.in = b.at+1, 0
		}
	}
	if b.at == len(b.pieces) {
		b.sent = time.Now()
		return n, io.EOF
	}
	return n, nil
}

// Close implements [io.Closer].
func (*body) Close() error { return nil }
