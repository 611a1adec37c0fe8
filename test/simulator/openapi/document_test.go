package openapi

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// small is a document with one of everything the checker knows.
const small = `
openapi: 3.0.3
servers: [{url: /v0}]
paths:
  /things:
    get:
      parameters:
        - {in: query, name: max, required: true, schema: {type: integer}}
      responses:
        '200': {content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Thing'}}}}}
        4XX: {$ref: '#/components/responses/Fault'}
  '/things/{id}':
    put:
      parameters:
        - {in: path, name: id, required: true, schema: {type: string, format: uuid}}
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}
      responses:
        '200': {content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}
        '204': {description: gone}
  '/things/{id}/count/{count}':
    put:
      parameters:
        - {in: path, name: id, required: true, schema: {type: string}}
        - {in: path, name: count, required: true, schema: {type: integer, minimum: 1, maximum: 255}}
      responses: {'200': {description: OK}}
  '/things/{id}/label/{key}={value}':
    put:
      responses: {'200': {description: OK}}
  /things/special:
    get:
      responses: {'204': {description: OK}}
components:
  responses:
    Fault: {content: {application/json: {schema: {type: object, properties: {kind: {type: string}}, required: [kind]}}}}
  schemas:
    Thing:
      type: object
      properties:
        name: {type: string}
        size: {type: integer, format: int64, minimum: 0}
        state: {type: string, enum: [Up, Down]}
        at: {type: string, format: date-time}
        labels: {type: object, additionalProperties: {type: string}}
        where: {$ref: '#/components/schemas/Where'}
        wrapped: {allOf: [{$ref: '#/components/schemas/Where'}]}
        lit: {type: boolean}
      required: [name, forgotten]
    Where:
      type: object
      properties: {here: {type: string}, there: {type: string}}
      additionalProperties: false
      oneOf: [{required: [here]}, {required: [there]}]
`

const id = "/v0/things/514ed1c8-7174-49ac-b9cd-ad44ef670a67"

func document(t *testing.T) *Document {
	t.Helper()
	d, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestResponse(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		want       string // in the error; empty: none
	}{
		{"a full thing fits", `{"name":"a","size":1,"state":"Up","at":"2026-01-02T03:04:05.6Z","labels":{"k":"v"},"where":{"here":"x"},"lit":true}`, 200, ""},
		{"a property the document does not know is tolerated", `{"name":"a","novel":1,"where":{"here":"x","novel":2}}`, 200, ""},
		{"a required name without a schema is ignored", `{"name":"a"}`, 200, ""},
		{"a required property must be there", `{}`, 200, "name is missing"},
		{"a wrong type is a fault", `{"name":1}`, 200, "is no string"},
		{"null is no value", `{"name":null}`, 200, "is no string"},
		{"a boolean is no text", `{"name":"a","lit":"true"}`, 200, "is no boolean"},
		{"an integer has no fraction", `{"name":"a","size":1.5}`, 200, "is no integer"},
		{"a number keeps its range", `{"name":"a","size":-1}`, 200, "out of range"},
		{"an enum is closed", `{"name":"a","state":"Maybe"}`, 200, "is none of"},
		{"a time stamp is RFC 3339", `{"name":"a","at":"yesterday"}`, 200, "date-time"},
		{"map values have a schema", `{"name":"a","labels":{"k":1}}`, 200, "labels.k"},
		{"of two alternatives none is a fault", `{"name":"a","where":{}}`, 200, "alternatives"},
		{"of two alternatives both is a fault", `{"name":"a","where":{"here":"x","there":"y"}}`, 200, "alternatives"},
		{"allOf is followed", `{"name":"a","wrapped":{}}`, 200, "alternatives"},
		{"what is not JSON is a fault", `{"name":`, 200, "not JSON"},
		{"two values are a fault", `{"name":"a"} {}`, 200, "more than one"},
		{"a status the document lacks is a fault", `{}`, 201, "status 201"},
		{"no body is wanted with 204", `{}`, 204, "none is described"},
		{"an empty 404 is a missing route", ``, 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := document(t).Response("PUT", id, tt.status, []byte(tt.body))
			if got := err != nil; got != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTolerateEnums(t *testing.T) {
	d := document(t)
	d.TolerateEnums = true
	if err := d.Response("PUT", id, 200, []byte(`{"name":"a","state":"Maybe"}`)); err != nil {
		t.Errorf("got %v, want none", err)
	}
}

func TestRequest(t *testing.T) {
	tests := []struct {
		name, method, path, query, body string
		want                            string
	}{
		{"a fitting request", "PUT", id, "", `{"name":"a"}`, ""},
		{"a missing body is a fault", "PUT", id, "", ``, "body is missing"},
		{"a wrong body is a fault", "PUT", id, "", `[]`, "is no object"},
		{"a path parameter keeps its format", "PUT", "/v0/things/nope", "", `{"name":"a"}`, "is no uuid"},
		{"a path number keeps its range", "PUT", id + "/count/0", "", ``, "out of range"},
		{"a path number is a number", "PUT", id + "/count/many", "", ``, "is no integer"},
		{"a body nobody asked for is a fault", "PUT", id + "/count/3", "", `{}`, "none is described"},
		{"a required query parameter must be there", "GET", "/v0/things", "", ``, "max is missing"},
		{"a query parameter keeps its type", "GET", "/v0/things", "max=x", ``, "is no integer"},
		{"a template inside a segment fits", "PUT", id + "/label/tier=nvme", "", ``, ""},
		{"a literal path wins over a template", "GET", "/v0/things/special", "", ``, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			query, err := url.ParseQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			err = document(t).Request(tt.method, tt.path, query, []byte(tt.body))
			if got := err != nil; got != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if err := document(t).Request("DELETE", id, nil, nil); !errors.Is(err, ErrNoOperation) {
		t.Errorf("an operation the document lacks: got %v, want ErrNoOperation", err)
	}
}

func TestParseRefusesWhatIsNoDocument(t *testing.T) {
	for _, text := range []string{"", "a: [", "openapi: 3.0.3", "paths: {/x: {get: []}}"} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestTransportReportsBothSidesAndChangesNothing(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"size":1}` {
			t.Errorf("got body %q, %v", body, err)
		}
		_, _ = io.WriteString(w, `{"name":7}`)
	}))
	defer server.Close()
	var reports []string
	client := &http.Client{Transport: document(t).Transport(http.DefaultTransport, func(err error) { reports = append(reports, err.Error()) })}
	req, err := http.NewRequest(http.MethodPut, server.URL+id, strings.NewReader(`{"size":1}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != `{"name":7}` {
		t.Errorf("got answer %q, %v", body, err)
	}
	if len(reports) != 2 || !strings.Contains(reports[0], "name is missing") || !strings.Contains(reports[1], "is no string") {
		t.Errorf("got reports %q, want one for the request and one for the answer", reports)
	}
}
