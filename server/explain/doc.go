// Package explain shows explanations of package tiering to people and programs:
// as text, in tables that follow the terminal, and as JSON, on the service's ops
// address and by the commands plan and explain. It decides nothing; whoever
// prints an explanation prints the same value.
package explain
