package mayastor_test

import (
	"net/http"
	"os"
	"testing"
	"testing/synctest"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
	"github.com/billyronks/couchestor/test/simulator/openapi"
)

// Upstream's own description is of Oct 2024: it knows no pool cordon, so those
// two requests are checked against MS 3.3 only, in the test of each call.
func TestRequestsAgreeWithUpstreamsOpenAPI(t *testing.T) {
	t.Parallel()
	file := os.Getenv("MAYASTOR_OPENAPI")
	if file == "" {
		t.Log("MAYASTOR_OPENAPI is not set: the client's requests are not checked against upstream's document")
		return
	}
	doc, err := openapi.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	doc.TolerateEnums = true
	synctest.Test(t, func(t *testing.T) {
		sim := simulator.NewCluster(simulator.Config{}, 3)
		volume := sim.Published(gibibyte, "sata-1", "sata-2")
		plain, stop := sim.Client()
		defer stop()
		asked := 0
		checked := doc.Transport(plain.Transport, func(err error) { t.Error(err) })
		c, err := mayastor.NewClient(mayastor.Config{
			URL: simulator.BaseURL, PageSize: 1,
			HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				if !doc.Has(r.Method, r.URL.EscapedPath()) {
					t.Logf("not in the document: %s %s", r.Method, r.URL.Path)
					return plain.Transport.RoundTrip(r)
				}
				asked++
				return checked.RoundTrip(r)
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		for name, err := range map[string]error{
			"Inventory":    second(c.Inventory(ctx, nil, "", sim.Now())),
			"Volume":       second(c.Volume(ctx, volume)),
			"Pool":         second(c.Pool(ctx, "sata-1")),
			"Node":         second(c.Node(ctx, "node-1")),
			"history":      second(c.RebuildHistory(ctx, volume)),
			"CordonPool":   second(c.CordonPool(ctx, "sata-1")),
			"UncordonPool": second(c.UncordonPool(ctx, "sata-1")),
			"CordonNode":   second(c.CordonNode(ctx, "node-1", "couchestor-1-1")),
			"UncordonNode": second(c.UncordonNode(ctx, "node-1", "couchestor-1-1")),
			"SetReplicas":  second(c.SetReplicas(ctx, volume, 3)),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if asked < 10 {
			t.Errorf("only %d requests were checked", asked)
		}
	})
}

func second[T any](_ T, err error) error { return err }
