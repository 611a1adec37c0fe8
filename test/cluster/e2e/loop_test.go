package e2e

import (
	"testing"
)

// scenario is one thing that happens.
type scenario struct {
	name string
	run  func(*testing.T, *stage)
}

// scenarios are played in this order. Each has volumes and a policy of its own and
// leaves the installation as it found it, but for the last ones.
var scenarios = []scenario{
	{"a busy volume goes up, an idle one comes down", upAndDown},
	{"the status is written only when something changed", quiet},
	{"a policy that only watches moves nothing", dryRun},
	{"a policy is deleted while it moves: the move ends first", deletedInTheBackground},
	{"a policy is deleted in the foreground while it moves: the volume comes to a safe rest", deletedInTheForeground},
	{"a policy is made again: its volumes keep their cooldown and their count", madeAgain},
	{"the service is killed in a move", serviceKilled},
	{"the watch loop is killed in a move", watchLoopKilled},
	{"the API server is restarted in a move", apiServerRestarted},
	{"the node of a migrator is lost", nodeLost},
	{"a migrator is cut off from the API server, and still reaches Mayastor", cutOff},
	{"a Job is deleted by hand", jobDeleted},
	{"emergency stop of one policy", stopOne},
	{"emergency stop of the cluster", stopAll},
	{"the image is upgraded in a move", upgraded},
	{"every right that is granted was used, and nothing else was tried", leastRights},
	{"the service keeps within its limits", withinLimits},
	{"uninstalled in the documented order, nothing is left", uninstalled},
}

func TestTheWholeLoop(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			s := install(t, m)
			for _, sc := range scenarios {
				ok := t.Run(sc.name, func(t *testing.T) {
					suite.Scenario(t, m.name+": "+sc.name)
					sc.run(t, s)
				})
				if !ok {
					t.Fatalf("what comes after %q would start from an unknown state", sc.name)
				}
			}
		})
	}
}
