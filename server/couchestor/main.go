// Command couchestor is CoucheStor's one program: the service that answers
// Metacontroller, and the commands that the Jobs and people run.
//
// Results go to stdout, talk goes to stderr. The exit status is 0 if the command
// did what it was asked, 2 if it was asked wrongly, 1 otherwise; a command that
// knows more says so in its help.
package main

import (
	"context"
	"os"

	// The image has no files of time zones, and maintenance windows need them.
	_ "time/tzdata"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
