package mayastor

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
)

// The versions that brought what a mover needs (MS 5.1).
const (
	versionWithRemoval    = "2.9"
	versionWithPoolCordon = "2.10"
)

// poolCordonRoute is matched, not compared: names of parameters differ between
// versions (MS 5.3).
var poolCordonRoute = regexp.MustCompile(`/pools/\{[^/{}]+\}/cordon/?$`)

// Capability asks the server for the description of its own API. A server with
// the pool cordon is 2.10 or newer. Of one without, the description cannot tell
// what it removes first, so claimed, the operator's word for the version, has
// to. claimed may be empty.
func (r *Reader) Capability(ctx context.Context, claimed string) (Capability, error) {
	q := request{op: "read the API description", path: "/api/spec"}
	var spec struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	err := r.link.get(ctx, q, &spec)
	if IsUnsupported(err) {
		return claimedCapability("the server does not describe its API, so a pool cordon cannot be relied on", claimed), nil
	}
	if err != nil {
		return Capability{}, err
	}
	if len(spec.Paths) == 0 {
		return Capability{}, q.malformed("it describes no path")
	}
	for path, methods := range spec.Paths {
		_, put := methods["put"]
		_, del := methods["delete"]
		if put && del && poolCordonRoute.MatchString(path) {
			return Capability{
				PoolCordon: true, Removal: true,
				Source: "the server's API has the pool cordon, so it is Mayastor " + versionWithPoolCordon + " or newer",
			}, nil
		}
	}
	return claimedCapability("the server's API has no pool cordon, so it is older than Mayastor "+versionWithPoolCordon, claimed), nil
}

// claimedCapability goes by the operator's word, which can give removal at most.
func claimedCapability(seen, claimed string) Capability {
	const remedy = "; moves need Mayastor " + versionWithPoolCordon + ", or " + versionWithRemoval +
		" and --mayastor-version saying so"
	if claimed == "" {
		return Capability{Source: seen + ", and no --mayastor-version vouches for " + versionWithRemoval + remedy}
	}
	major, minor, ok := parseVersion(claimed)
	switch {
	case !ok:
		return Capability{Source: fmt.Sprintf("%s, and --mayastor-version %q is no version%s", seen, short(claimed, 40), remedy)}
	case major < 2 || major == 2 && minor < 9:
		return Capability{Source: fmt.Sprintf("%s, and --mayastor-version says %d.%d%s", seen, major, minor, remedy)}
	}
	return Capability{
		Removal: true,
		Source:  fmt.Sprintf("%s; --mayastor-version vouches for %d.%d", seen, major, minor),
	}
}

var versionText = regexp.MustCompile(`^v?([0-9]{1,4})\.([0-9]{1,4})([.+-].*)?$`)

// parseVersion reads the first two numbers of texts such as 2.9, v2.10.1 and
// 2.9.0-rc.1.
func parseVersion(text string) (major, minor int, ok bool) {
	m := versionText.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, false
	}
	major, _ = strconv.Atoi(m[1])
	minor, _ = strconv.Atoi(m[2])
	return major, minor, true
}
