package tiering

import "time"

// Compile turns a spec into a policy. The errors are all its faults at once, in
// the order of the fields, each a sentence that names the field, what is wrong
// and what to do; with any fault the policy has a name and selects nothing.
func Compile(name string, generation int64, created time.Time, spec StoragePolicySpec) (Policy, []error) {
	p := Policy{Name: name, Generation: generation, Created: created}
	rules, faults := compile(name, spec)
	if len(faults) == 0 {
		p.Rules = rules
	}
	return p, faults
}

// Faults returns what [Compile] finds wrong with a spec, in the same order.
func Faults(name string, spec StoragePolicySpec) []error {
	_, faults := compile(name, spec)
	return faults
}

func compile(name string, spec StoragePolicySpec) (Rules, []error) {
	return Rules{}, nil
}
