package hooks

import (
	"strconv"
	"strings"

	"github.com/billyronks/couchestor/tiering"
)

// The labels of a Job. VolumeLabel is how the Jobs of all policies are found.
const (
	PolicyLabel   = tiering.Group + "/policy"
	VolumeLabel   = tiering.Group + "/volume"
	FromTierLabel = tiering.Group + "/from-tier"
	ToTierLabel   = tiering.Group + "/to-tier"
	// RecoveryLabel is "true" on a Job that only puts a volume in order.
	RecoveryLabel = tiering.Group + "/recovery"
)

// The annotations of a Job say why it was made.
const (
	// ScoreAnnotation and ThresholdAnnotation are IOPS; WindowAnnotation is the
	// time over which the score is the average.
	ScoreAnnotation     = tiering.Group + "/score"
	ThresholdAnnotation = tiering.Group + "/threshold"
	WindowAnnotation    = tiering.Group + "/window"
	ReasonAnnotation    = tiering.Group + "/reason"
	// GenerationAnnotation is the generation of the policy's spec.
	GenerationAnnotation = tiering.Group + "/policy-generation"
	// LandingAnnotation lists the pools a new replica may land on.
	LandingAnnotation = tiering.Group + "/landing-pools"
	// WantedAnnotation is the RFC 3339 time since when the plan shows the wish.
	WantedAnnotation = tiering.Group + "/wanted-since"
	// TriggerAnnotation is what set the move off: automatic, or approved.
	TriggerAnnotation = tiering.Group + "/trigger"
	// AllowedAnnotation is the time that all replicas together may take; what
	// comes on top, for locks and proofs, is in the Job's own deadline.
	AllowedAnnotation = tiering.Group + "/time-allowed"
)

// selectorLabel is what Metacontroller puts on a policy's Jobs (MC 3.2).
const selectorLabel = "controller-uid"

const (
	namePrefix = "couchestor-"
	uuidChars  = 36
	// maxN keeps a Job's name within the 63 characters of a pod label (MC 8).
	maxN = 999_999_999_999_999
)

// nameJob returns the name of attempt n at the volume.
func nameJob(uuid string, n int64) string {
	return namePrefix + uuid + "-" + strconv.FormatInt(n, 10)
}

// parseJobName reads what [nameJob] writes.
func parseJobName(name string) (uuid string, n int64, ok bool) {
	rest, ok := strings.CutPrefix(name, namePrefix)
	if !ok || len(rest) < uuidChars+2 || rest[uuidChars] != '-' || !validUUID(rest[:uuidChars]) {
		return "", 0, false
	}
	n, err := strconv.ParseInt(rest[uuidChars+1:], 10, 64)
	if err != nil || n < 1 || n > maxN || nameJob(rest[:uuidChars], n) != name {
		return "", 0, false
	}
	return rest[:uuidChars], n, true
}

// validUUID reports whether s is a uuid in lower case, as Mayastor writes it
// and as the name of a Job may hold it.
func validUUID(s string) bool {
	if len(s) != uuidChars {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
