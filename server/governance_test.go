package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // the zones are the same on every machine

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/hooks"
)

// mount is a directory in which a ConfigMap is mounted, as the kubelet does it:
// each key is a link through ..data, which is swapped at once.
type mount struct {
	dir     string
	version int
}

func newMount(t *testing.T, data map[string]string) *mount {
	t.Helper()
	m := &mount{dir: t.TempDir()}
	m.swap(t, data)
	return m
}

func (m *mount) swap(t testing.TB, data map[string]string) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	old, _ := os.Readlink(filepath.Join(m.dir, dataLink))
	m.version++
	name := fmt.Sprintf("..v%d", m.version)
	check(os.Mkdir(filepath.Join(m.dir, name), 0o755))
	for key, value := range data {
		check(os.WriteFile(filepath.Join(m.dir, name, key), []byte(value), 0o644))
	}
	check(os.Symlink(name, filepath.Join(m.dir, "..data_tmp")))
	check(os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, dataLink)))
	for key := range data {
		if err := os.Symlink(filepath.Join(dataLink, key), filepath.Join(m.dir, key)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	if old != "" {
		check(os.RemoveAll(filepath.Join(m.dir, old)))
	}
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "governance.yaml")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestEachFormOfTheConfigurationReadsTheSame(t *testing.T) {
	want := map[string]string{"newPolicyDryRun": "48h", "limit.moves": "4", "emergencyStop": "false", "freeze.until": "2026-12-28T06:00:00Z", "freeze.reason": "year end", "emergencyStop.reason": ""}
	plain := t.TempDir()
	for key, value := range want {
		if err := os.WriteFile(filepath.Join(plain, key), []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(plain, ".note"), []byte("not a key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(plain, "old"), 0o755); err != nil {
		t.Fatal(err)
	}
	const quoted = `
newPolicyDryRun: 48h
limit.moves: "4"
emergencyStop: "false"
freeze.until: "2026-12-28T06:00:00Z"
freeze.reason: year end
emergencyStop.reason: ""
`
	for name, path := range map[string]string{
		"a mounted ConfigMap": newMount(t, want).dir,
		"a plain directory":   plain,
		"a flat file":         configFile(t, quoted),
		"a flat file without quotes": configFile(t, `
newPolicyDryRun: 48h
limit.moves: 4
emergencyStop: false
freeze.until: 2026-12-28T06:00:00Z
freeze.reason: year end
emergencyStop.reason:
`),
		"JSON":        configFile(t, `{"newPolicyDryRun":"48h","limit.moves":4,"emergencyStop":false,"freeze.until":"2026-12-28T06:00:00Z","freeze.reason":"year end","emergencyStop.reason":null}`),
		"a ConfigMap": configFile(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: couchestor-governance}\ndata:"+strings.ReplaceAll(quoted, "\n", "\n  ")),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readGovernance(path)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAConfigurationThatCannotBeReadSaysWhy(t *testing.T) {
	for name, c := range map[string]struct{ path, says string }{
		"nothing there":               {filepath.Join(t.TempDir(), "none"), "no such file or directory"},
		"an empty directory":          {t.TempDir(), "it holds no keys"},
		"an empty mount":              {newMount(t, nil).dir, "it holds no keys"},
		"an empty file":               {configFile(t, ""), "it holds no keys"},
		"a list":                      {configFile(t, "- a"), "it is no map"},
		"no YAML":                     {configFile(t, "a: b: c"), "it is no YAML"},
		"a key twice":                 {configFile(t, "limit.moves: 1\nlimit.moves: 2"), `key "limit.moves" already set`},
		"keys that are not flat":      {configFile(t, "freeze: {until: x}"), "key freeze holds more than one value; the keys are flat"},
		"another kind":                {configFile(t, "apiVersion: v1\nkind: Secret\ndata: {a: b}"), "is no ConfigMap"},
		"a ConfigMap of bytes":        {configFile(t, "apiVersion: v1\nkind: ConfigMap\nbinaryData: {a: Yg==}"), "is no ConfigMap of v1 with data alone"},
		"a ConfigMap without strings": {configFile(t, "apiVersion: v1\nkind: ConfigMap\ndata: {limit.moves: 4}"), "has to be a string; put it in quotes"},
		"a ConfigMap without data":    {configFile(t, "apiVersion: v1\nkind: ConfigMap"), "it holds no keys"},
		"far too long":                {configFile(t, "a: "+strings.Repeat("b", maxGovernance)), "which no ConfigMap has"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readGovernance(c.path)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), c.path) && c.says != "no such file or directory" {
				t.Errorf("got %v, %v; want an error that says %q", got, err, c.says)
			}
		})
	}
}

// A reader that took one key from before a swap and one from after it would act
// on a configuration that nobody wrote.
func TestASwapIsSeenWholeOrNotAtAll(t *testing.T) {
	a := map[string]string{"limit.moves": "1", "limit.movesPerPool": "1", "limit.movesPerNode": "1"}
	b := map[string]string{"limit.moves": "2", "limit.movesPerPool": "2", "limit.movesPerNode": "2"}
	m := newMount(t, a)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for i := range 300 {
			m.swap(t, []map[string]string{b, a}[i%2])
		}
	})
	reads := 0
	for swapping := true; swapping; {
		select {
		case <-done:
			swapping = false
		default:
		}
		data, err := readGovernance(m.dir)
		if err != nil && strings.Contains(err.Error(), "it changes all the time") {
			continue
		}
		reads++
		if err != nil || !maps.Equal(data, a) && !maps.Equal(data, b) {
			t.Errorf("got %v, %v; want one of the two", data, err)
			break
		}
	}
	wg.Wait()
	if reads == 0 {
		t.Error("nothing was ever read")
	}
}

// audited returns the actions written since it was asked last.
func audited(t *testing.T, out *bytes.Buffer) (actions []string) {
	t.Helper()
	for line := range strings.Lines(out.String()) {
		var entry struct{ Action string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		actions = append(actions, entry.Action)
	}
	out.Reset()
	return actions
}

func TestABadConfigurationKeepsTheLastGoodOneAndSaysSoOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := map[string]string{"limit.moves": "4", "maintenanceWindow.allow.night": "daily 22:00-06:00 Europe/Berlin"}
		m := newMount(t, good)
		var out bytes.Buffer
		g := newGovernance(m.dir, slog.New(slog.NewJSONHandler(&out, nil)))
		step := func(name string, known, ok bool, moves int, stopped bool, says string, actions ...string) {
			t.Helper()
			for range 3 {
				time.Sleep(lookEvery)
				now := g.governed()
				if now.Known != known || now.Source.OK != ok || now.Caps.Moves != moves || now.Stop.On != stopped {
					t.Errorf("%s: got known %v, ok %v, %d moves, stopped %v", name, now.Known, now.Source.OK, now.Caps.Moves, now.Stop.On)
				}
				if !strings.Contains(now.Source.Message, says) {
					t.Errorf("%s: it says %q, want %q", name, now.Source.Message, says)
				}
			}
			if diff := cmp.Diff(actions, audited(t, &out)); diff != "" {
				t.Errorf("%s: audit (-want +got):\n%s", name, diff)
			}
		}
		step("a good one", true, true, 4, false, "", hooks.ActionGovernanceAccepted)
		m.swap(t, map[string]string{"limit.move": "5"})
		step("a misspelt one", true, false, 4, false, "limit.move is no key of the governance configuration; the nearest is limit.moves.", hooks.ActionGovernanceRejected)
		m.swap(t, map[string]string{"limit.moves": "5", "maintenanceWindow.allow.night": "daily 22:00-06:00 Europe/Berlinn"})
		step("an unknown time zone", true, false, 4, false, "names the time zone Europe/Berlinn, which is not known", hooks.ActionGovernanceRejected)
		m.swap(t, map[string]string{"limit.move": "5", "emergencyStop": "true"})
		step("a stop beside a fault", true, false, 4, true, "has faults", hooks.ActionGovernanceRejected)
		m.swap(t, nil)
		step("gone after that", true, false, 4, true, "cannot be read: "+m.dir+": it holds no keys", hooks.ActionGovernanceRejected)
		m.swap(t, map[string]string{"limit.moves": "5"})
		step("mended", true, true, 5, false, "", hooks.ActionGovernanceAccepted)
		if err := os.RemoveAll(m.dir); err != nil {
			t.Fatal(err)
		}
		step("the mount is gone", true, false, 5, false, "no such file or directory", hooks.ActionGovernanceRejected)
	})
}

func TestABadConfigurationAtTheStartIsNoneThatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMount(t, map[string]string{"limit.moves": "none", "emergencyStop": "true"})
		g := newGovernance(m.dir, slog.New(slog.DiscardHandler))
		if now := g.governed(); now.Known || now.Source.OK || !now.Stop.On {
			t.Errorf("got %+v, want one that is not known, and stopped", now)
		}
		m.swap(t, map[string]string{"limit.moves": "3"})
		if now := g.governed(); now.Known {
			t.Error("it was read again within a second")
		}
		time.Sleep(lookEvery)
		if now := g.governed(); !now.Known || !now.Source.OK || now.Stop.On || now.Caps.Moves != 3 {
			t.Errorf("got %+v, want a good one", now)
		}
	})
}
