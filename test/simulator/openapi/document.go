package openapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// ErrNoOperation says that the document does not describe a method of a path. A
// newer server may well have it.
var ErrNoOperation = errors.New("the document describes no such operation")

// Document is a parsed OpenAPI document. It is safe for concurrent use once
// TolerateEnums is set.
type Document struct {
	// TolerateEnums accepts enum values the document does not list, as a client
	// of a newer server must.
	TolerateEnums bool

	schemas    map[string]*Schema
	operations []operation // most literal path first
}

type operation struct {
	method, path string
	pattern      *regexp.Regexp
	names        []string // of the path parameters, in order
	parameters   []parameter
	body         *Schema
	bodyRequired bool
	responses    map[string]response
}

type parameter struct {
	Name     string  `json:"name"`
	In       string  `json:"in"`
	Required bool    `json:"required"`
	Schema   *Schema `json:"schema"`
}

type response struct {
	Ref     string           `json:"$ref"`
	Content map[string]media `json:"content"`
}

type media struct {
	Schema *Schema `json:"schema"`
}

// Read parses the document in a file.
func Read(file string) (*Document, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI document: %w", err)
	}
	d, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return d, nil
}

// Parse parses a document in YAML or JSON.
func Parse(data []byte) (*Document, error) {
	var raw struct {
		Servers []struct {
			URL string `json:"url"`
		} `json:"servers"`
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas   map[string]*Schema  `json:"schemas"`
			Responses map[string]response `json:"responses"`
		} `json:"components"`
	}
	if err := yaml.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("parse OpenAPI document: %w", err)
	}
	base := ""
	if len(raw.Servers) > 0 {
		base = strings.TrimSuffix(raw.Servers[0].URL, "/")
	}
	d := &Document{schemas: raw.Components.Schemas}
	for path, methods := range raw.Paths {
		for method, data := range methods {
			method = strings.ToUpper(method)
			if !slices.Contains([]string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch}, method) {
				continue
			}
			op, err := parseOperation(data, raw.Components.Responses)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			op.method, op.path = method, base+path
			op.pattern, op.names = patternOf(op.path)
			d.operations = append(d.operations, op)
		}
	}
	if len(d.operations) == 0 {
		return nil, errors.New("parse OpenAPI document: it describes no operation")
	}
	slices.SortFunc(d.operations, func(a, b operation) int {
		return cmp.Or(cmp.Compare(len(a.names), len(b.names)), cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method))
	})
	return d, nil
}

func parseOperation(data json.RawMessage, shared map[string]response) (operation, error) {
	var raw struct {
		Parameters  []parameter `json:"parameters"`
		RequestBody struct {
			Required bool             `json:"required"`
			Content  map[string]media `json:"content"`
		} `json:"requestBody"`
		Responses map[string]response `json:"responses"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return operation{}, err
	}
	for status, r := range raw.Responses {
		if r.Ref != "" {
			raw.Responses[status] = shared[strings.TrimPrefix(r.Ref, "#/components/responses/")]
		}
	}
	return operation{
		parameters: raw.Parameters, body: raw.RequestBody.Content["application/json"].Schema,
		bodyRequired: raw.RequestBody.Required, responses: raw.Responses,
	}, nil
}

var placeholder = regexp.MustCompile(`\{([^}]+)\}`)

// patternOf turns a path template into a pattern over escaped paths.
func patternOf(path string) (*regexp.Regexp, []string) {
	var names []string
	var b strings.Builder
	b.WriteString("^")
	last := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(path, -1) {
		b.WriteString(regexp.QuoteMeta(path[last:m[0]]) + "([^/]+)")
		names = append(names, path[m[2]:m[3]])
		last = m[1]
	}
	b.WriteString(regexp.QuoteMeta(path[last:]) + "$")
	return regexp.MustCompile(b.String()), names
}

func (d *Document) schema(ref string) *Schema {
	return d.schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
}

// find returns the operation of an escaped path and the values of its parameters.
func (d *Document) find(method, path string) (*operation, map[string]string, error) {
	for i := range d.operations {
		op := &d.operations[i]
		m := op.pattern.FindStringSubmatch(path)
		if m == nil || op.method != method {
			continue
		}
		values := map[string]string{}
		for i, name := range op.names {
			v, err := url.PathUnescape(m[i+1])
			if err != nil {
				return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			values[name] = v
		}
		return op, values, nil
	}
	return nil, nil, fmt.Errorf("%s %s: %w", method, path, ErrNoOperation)
}

// Has says whether the document describes a method of an escaped path.
func (d *Document) Has(method, path string) bool {
	_, _, err := d.find(method, path)
	return err == nil
}

// Request checks a request. path is escaped and includes the base (/v0/...). It
// wraps [ErrNoOperation] when the document does not know the operation.
func (d *Document) Request(method, path string, query url.Values, body []byte) error {
	op, values, err := d.find(method, path)
	if err != nil {
		return err
	}
	var faults []error
	for _, p := range op.parameters {
		text, given := values[p.Name]
		if p.In == "query" {
			text, given = query.Get(p.Name), query.Has(p.Name)
		}
		at := p.In + " parameter " + p.Name
		switch {
		case !given && p.Required:
			faults = append(faults, errors.New(at+" is missing"))
		case given:
			faults = append(faults, d.check(p.Schema, typed(d.resolve(p.Schema), text), at))
		}
	}
	switch {
	case op.body == nil && len(body) > 0:
		faults = append(faults, errors.New("a body where none is described"))
	case op.body != nil && len(body) == 0 && op.bodyRequired:
		faults = append(faults, errors.New("the body is missing"))
	case op.body != nil && len(body) > 0:
		faults = append(faults, d.checkJSON(op.body, body, "body"))
	}
	return wrap(method, path, errors.Join(faults...))
}

// Response checks an answer. A 404 with an empty body is what a server without
// the route answers, and is fine.
func (d *Document) Response(method, path string, status int, body []byte) error {
	op, _, err := d.find(method, path)
	if err != nil {
		return err
	}
	if status == http.StatusNotFound && len(body) == 0 {
		return nil
	}
	code := strconv.Itoa(status)
	r, described := op.responses[code]
	if !described {
		r, described = op.responses[code[:1]+"XX"]
	}
	if !described && status >= 500 {
		// Two operations of upstream's document lost their 5XX to indentation.
		r, described = op.responses["4XX"]
	}
	if !described {
		return wrap(method, path, fmt.Errorf("status %d is not described", status))
	}
	s := r.Content["application/json"].Schema
	if s == nil {
		if len(body) > 0 {
			return wrap(method, path, fmt.Errorf("status %d has a body where none is described", status))
		}
		return nil
	}
	return wrap(method, path, d.checkJSON(s, body, strconv.Itoa(status)))
}

func (d *Document) checkJSON(s *Schema, body []byte, at string) error {
	v, err := decode(body)
	if err != nil {
		return fmt.Errorf("%s: not JSON: %w", at, err)
	}
	return d.check(s, v, at)
}

func (d *Document) resolve(s *Schema) *Schema {
	for hops := 0; s != nil && s.Ref != "" && hops < 20; hops++ {
		s = d.schema(s.Ref)
	}
	return s
}

// typed reads a parameter's text as its schema's type, so that it can be checked
// like JSON. Text that does not parse stays text and fails there.
func typed(s *Schema, text string) any {
	if s == nil {
		return text
	}
	switch s.Type {
	case "integer", "number":
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return json.Number(text)
		}
	case "boolean":
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}

func wrap(method, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", method, path, err)
}
