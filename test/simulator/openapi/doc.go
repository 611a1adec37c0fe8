// Package openapi checks requests and answers against an OpenAPI 3.0 document,
// as far as Mayastor's own description of its REST API uses the format: type,
// required, properties, $ref, enum, items, additionalProperties, allOf, oneOf,
// minimum, maximum and the uuid and date-time formats.
//
// It is tolerant where a newer server must be tolerated: properties the document
// does not know are fine, also where it says additionalProperties: false, and
// with [Document.TolerateEnums] so are enum values. A name under required that
// has no schema under properties is ignored: upstream's document demands fields
// (num_paths, protocol) it removed.
//
//	doc, err := openapi.Read(os.Getenv("MAYASTOR_OPENAPI"))
//	...
//	client := &http.Client{Transport: doc.Transport(next, func(err error) { t.Error(err) })}
package openapi
