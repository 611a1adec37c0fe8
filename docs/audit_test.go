package docs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/mayastor"
)

// actions is the table of all actions of the audit trail.
func actions() string {
	var table strings.Builder
	table.WriteString("| by | action | outcome | meaning, and what it has beside the usual keys |\n|---|---|---|---|\n")
	for _, part := range []struct {
		by   string
		rows []mayastor.AuditAction
	}{{"service", hooks.AuditActions()}, {"Job", mayastor.AuditActions()}} {
		for _, a := range part.rows {
			outcome := a.Outcome
			if outcome != "" {
				outcome = "`" + outcome + "`"
			}
			fmt.Fprintf(&table, "| %s | `%s` | %s | %s |\n", part.by, a.Action, outcome, a.Meaning)
		}
	}
	return table.String()
}

func TestThePageHasEveryActionOfTheAuditTrail(t *testing.T) {
	page, err := Pages.ReadFile("governance.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), actions()) {
		t.Errorf("governance.md lacks, word for word:\n%s", actions())
	}
}
