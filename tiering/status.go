package tiering

import "time"

// Status returns the policy's status after this plan. Counters and history are
// carried over from prev, which is the status in the request with the results
// added by [Record].
func (p *Plan) Status(prev StoragePolicyStatus) StoragePolicyStatus { return prev }

// ErrorStatus returns the status of a policy that does not compile. All that
// the faults do not concern is carried over from prev.
func ErrorStatus(prev StoragePolicyStatus, now time.Time, generation int64, faults []error) StoragePolicyStatus {
	return prev
}
