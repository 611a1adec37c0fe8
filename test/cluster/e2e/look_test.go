package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// table renders a Table of the API server as kubectl does.
func table(text []byte) (string, error) {
	var t metav1.Table
	if err := json.Unmarshal(text, &t); err != nil {
		return "", err
	}
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	for _, c := range t.ColumnDefinitions {
		fmt.Fprintf(w, "%s\t", strings.ToUpper(c.Name))
	}
	fmt.Fprintln(w)
	for _, row := range t.Rows {
		for _, cell := range row.Cells {
			if cell == nil {
				cell = ""
			}
			fmt.Fprintf(w, "%v\t", cell)
		}
		fmt.Fprintln(w)
	}
	err := w.Flush()
	return out.String(), err
}

var counted = regexp.MustCompile(`^apiserver_request_total\{(.*)\} (\S+)$`)

// requests counts the API server's requests so far by verb and resource, without the
// Leases and the status by which nodes and controllers show that they live.
func requests(t *testing.T) map[string]int {
	t.Helper()
	text, err := suite.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m := counted.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		labels := map[string]string{}
		for _, pair := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(m[1], -1) {
			labels[pair[1]] = pair[2]
		}
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		what := labels["verb"] + " " + labels["resource"]
		if sub := labels["subresource"]; sub != "" {
			what += "/" + sub
		}
		if labels["resource"] != "" {
			out[what] += int(n)
		}
	}
	if len(out) == 0 {
		t.Fatal("the API server's metrics have no apiserver_request_total")
	}
	return out
}
