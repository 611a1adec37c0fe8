package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Schema is the part of an OpenAPI schema object that is checked.
type Schema struct {
	Ref                  string             `json:"$ref"`
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Enum                 []any              `json:"enum"`
	Required             []string           `json:"required"`
	Properties           map[string]*Schema `json:"properties"`
	AdditionalProperties *Additional        `json:"additionalProperties"`
	Items                *Schema            `json:"items"`
	AllOf                []*Schema          `json:"allOf"`
	OneOf                []*Schema          `json:"oneOf"`
	Minimum              *float64           `json:"minimum"`
	Maximum              *float64           `json:"maximum"`
}

// Additional is additionalProperties: a schema, or a truth value that is ignored.
type Additional struct{ Schema *Schema }

// UnmarshalJSON implements [json.Unmarshaler].
func (a *Additional) UnmarshalJSON(data []byte) error {
	if s := string(data); s == "true" || s == "false" {
		return nil
	}
	a.Schema = new(Schema)
	return json.Unmarshal(data, a.Schema)
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// decode reads one JSON value with its numbers intact.
func decode(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// check compares v with s; at is the place of v in words. All faults are
// reported, joined.
func (d *Document) check(s *Schema, v any, at string) error {
	for hops := 0; s != nil && s.Ref != ""; hops++ {
		next := d.schema(s.Ref)
		if next == nil || hops > 20 {
			return fmt.Errorf("%s: the document has no %s", at, s.Ref)
		}
		s = next
	}
	if s == nil {
		return nil
	}
	var faults []error
	for _, part := range s.AllOf {
		faults = append(faults, d.check(part, v, at))
	}
	if len(s.OneOf) > 0 {
		faults = append(faults, d.checkOneOf(s.OneOf, v, at))
	}
	if err := checkType(s, v, at); err != nil {
		return errors.Join(append(faults, err)...)
	}
	if len(s.Enum) > 0 && !d.TolerateEnums && !slices.ContainsFunc(s.Enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(v) }) {
		faults = append(faults, fmt.Errorf("%s: %v is none of %v", at, v, s.Enum))
	}
	switch v := v.(type) {
	case map[string]any:
		faults = append(faults, d.checkObject(s, v, at))
	case []any:
		for i, item := range v {
			faults = append(faults, d.check(s.Items, item, fmt.Sprintf("%s[%d]", at, i)))
		}
	}
	return errors.Join(faults...)
}

func (d *Document) checkObject(s *Schema, v map[string]any, at string) error {
	var faults []error
	for _, name := range s.Required {
		_, described := s.Properties[name]
		// A oneOf branch is nothing but a list of names.
		if _, present := v[name]; !present && (described || len(s.Properties) == 0) {
			faults = append(faults, fmt.Errorf("%s: %s is missing", at, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		child, known := s.Properties[name]
		switch {
		case known:
			faults = append(faults, d.check(child, v[name], at+"."+name))
		case s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil:
			faults = append(faults, d.check(s.AdditionalProperties.Schema, v[name], at+"."+name))
		}
	}
	return errors.Join(faults...)
}

func (d *Document) checkOneOf(branches []*Schema, v any, at string) error {
	fits := 0
	for _, b := range branches {
		if d.check(b, v, at) == nil {
			fits++
		}
	}
	if fits != 1 {
		return fmt.Errorf("%s: fits %d of the %d alternatives, want exactly one", at, fits, len(branches))
	}
	return nil
}

// checkType checks type, format and range.
func checkType(s *Schema, v any, at string) error {
	wrong := func() error { return fmt.Errorf("%s: %s is no %s", at, show(v), s.Type) }
	switch s.Type {
	case "object":
		if _, is := v.(map[string]any); !is {
			return wrong()
		}
	case "array":
		if _, is := v.([]any); !is {
			return wrong()
		}
	case "boolean":
		if _, is := v.(bool); !is {
			return wrong()
		}
	case "integer", "number":
		n, is := v.(json.Number)
		if !is {
			return wrong()
		}
		return checkNumber(s, n, at)
	case "string":
		text, is := v.(string)
		if !is {
			return wrong()
		}
		return checkText(s, text, at)
	}
	return nil
}

func checkNumber(s *Schema, n json.Number, at string) error {
	f, err := n.Float64()
	if err != nil || s.Type == "integer" && f != math.Trunc(f) {
		return fmt.Errorf("%s: %s is no %s", at, n, s.Type)
	}
	if s.Minimum != nil && f < *s.Minimum || s.Maximum != nil && f > *s.Maximum {
		return fmt.Errorf("%s: %s is out of range", at, n)
	}
	if strings.HasPrefix(s.Format, "int32") && (f > math.MaxInt32 || f < math.MinInt32) {
		return fmt.Errorf("%s: %s does not fit %s", at, n, s.Format)
	}
	return nil
}

func checkText(s *Schema, text, at string) error {
	switch s.Format {
	case "uuid":
		if !uuidPattern.MatchString(text) {
			return fmt.Errorf("%s: %q is no uuid", at, text)
		}
	case "date-time":
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			return fmt.Errorf("%s: %q is no date-time", at, text)
		}
	}
	return nil
}

// show is a short form of v for messages.
func show(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(out) > 60 {
		return strconv.Quote(string(out[:60]) + "...")
	}
	return string(out)
}
