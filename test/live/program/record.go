package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/billyronks/couchestor/mayastor"
)

// Record is what a [mayastor.DirLedger] holds of one volume, as it would stand on
// objects of Kubernetes; what is not there is empty.
type Record struct {
	Attempt, LastMigration string
	// Result is the text of that of the last attempt.
	Result string

	volume string
}

// ReadRecord reads what the ledger in dir has of a volume. The result is read first:
// a migrator writes it last, so what it says is never newer than the rest.
func ReadRecord(dir, volume string) (Record, error) {
	r := Record{volume: volume}
	for _, file := range []struct {
		kind string
		text *string
	}{{"result", &r.Result}, {"last-migration", &r.LastMigration}, {"attempt", &r.Attempt}} {
		text, err := os.ReadFile(filepath.Join(dir, "volume-"+volume+"."+file.kind))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Record{}, fmt.Errorf("read the ledger of volume %s: %w", volume, err)
		}
		*file.text = strings.TrimSpace(string(text))
	}
	return r, nil
}

// Read parses the result; that there is none is an error.
func (r Record) Read() (mayastor.Result, error) {
	var result mayastor.Result
	if err := json.Unmarshal([]byte(r.Result), &result); err != nil {
		return result, fmt.Errorf("read the result of volume %s: %w", r.volume, err)
	}
	return result, nil
}
