// Package program builds couchestor, runs it on this machine with whatever it needs
// around it, and reads what it leaves, for the commands and tests that look at it
// from outside.
package program
