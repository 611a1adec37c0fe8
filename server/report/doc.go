// Package report shows what a set of StoragePolicies did, does and is about to do
// on one page of HTML that needs nothing else: no script, no font, no picture from
// elsewhere. [New] makes the report of explanations and of what Prometheus says of
// moves; [Report.Write] writes the page. Both are pure: the same input gives the
// same bytes. Nothing is made up: what is not known is called so, and why.
package report
