package openapi

import (
	"os"
	"testing"
)

func TestUpstreamsDocumentIsUnderstood(t *testing.T) {
	file := os.Getenv("MAYASTOR_OPENAPI")
	if file == "" {
		t.Log("MAYASTOR_OPENAPI is not set: upstream's document was not read")
		return
	}
	d, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range [][2]string{
		{"GET", "/v0/volumes"},
		{"GET", "/v0/volumes/" + id[len("/v0/things/"):]},
		{"PUT", "/v0/volumes/x/replica_count/2"},
		{"PUT", "/v0/pools/p/label/tier=nvme"},
		{"PUT", "/v0/nodes/n/cordon/mine"},
	} {
		if !d.Has(op[0], op[1]) {
			t.Errorf("%s %s was not found", op[0], op[1])
		}
	}
	if d.Has("PUT", "/v0/pools/p/cordon") {
		t.Error("a pool cordon was found, which that version does not have")
	}
	if err := d.Response("GET", "/v0/volumes", 200, []byte(`{"entries":[{"spec":{}}]}`)); err == nil {
		t.Error("a volume without anything was accepted")
	}
}
