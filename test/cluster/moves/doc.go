// Package moves tests that migrators keep out of each other's way: real
// processes of the product, against the Leases of a real API server with real
// authorization, moving volumes of a simulated Mayastor whose hidden truth is
// looked at.
//
// Times are shortened: a Lease lasts 3 s instead of a minute.
package moves
