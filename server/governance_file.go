package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// maxGovernance is what a ConfigMap may hold at most.
const maxGovernance = 1 << 20

// dataLink is the name under which a mounted ConfigMap's files are swapped all
// at once.
const dataLink = "..data"

// errNoKeys is the fault of a configuration that says nothing at all: a
// ConfigMap that is missing is mounted as an empty directory.
var errNoKeys = errors.New("it holds no keys, as if it were missing; write at least newPolicyDryRun")

// readGovernance reads the keys of a configuration: a directory with one file
// for each, as a ConfigMap is mounted, or one file of YAML, either a flat map or
// a whole ConfigMap.
func readGovernance(path string) (map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var data map[string]string
	if info.IsDir() {
		data, err = readKeys(path)
	} else {
		data, err = readYAML(path)
	}
	if err == nil && len(data) == 0 {
		err = errNoKeys
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// readKeys reads a directory. That of a mounted ConfigMap is swapped while it is
// read at worst a few times.
func readKeys(path string) (data map[string]string, err error) {
	for range 3 {
		dir := path
		before, linkErr := os.Readlink(filepath.Join(path, dataLink))
		if linkErr == nil {
			dir = filepath.Join(path, before)
		}
		data, err = readDirectory(dir)
		after, _ := os.Readlink(filepath.Join(path, dataLink))
		if after == before {
			return data, err
		}
	}
	return nil, errors.Join(errors.New("it changes all the time"), err)
}

func readDirectory(dir string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	data := make(map[string]string, len(entries))
	total := 0
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		text, err := readLimited(filepath.Join(dir, e.Name()))
		if errors.Is(err, errNoFile) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if total += len(text); total > maxGovernance {
			return nil, errTooLong
		}
		data[e.Name()] = string(text)
	}
	return data, nil
}

var (
	errNoFile  = errors.New("it is no file")
	errTooLong = fmt.Errorf("it has more than %d bytes, which no ConfigMap has", maxGovernance)
)

// readLimited reads a file, or what a link leads to; errNoFile if that is a
// directory or the like.
func readLimited(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeType != 0 {
		return nil, errNoFile
	}
	text, err := io.ReadAll(io.LimitReader(f, maxGovernance+1))
	if err == nil && len(text) > maxGovernance {
		err = errTooLong
	}
	return text, err
}

func readYAML(name string) (map[string]string, error) {
	text, err := readLimited(name)
	if err != nil {
		return nil, err
	}
	text, err = yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fmt.Errorf("it is no YAML: %w", err)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(text, &top); err != nil {
		return nil, errors.New("it is no map; write key: value, or a whole ConfigMap")
	}
	if _, is := top["kind"]; !is {
		return flat(top)
	}
	var configMap struct {
		APIVersion string                     `json:"apiVersion"`
		Kind       string                     `json:"kind"`
		Data       map[string]json.RawMessage `json:"data"`
		BinaryData map[string]json.RawMessage `json:"binaryData"`
	}
	if err := json.Unmarshal(text, &configMap); err != nil || configMap.Kind != "ConfigMap" || configMap.APIVersion != "v1" || len(configMap.BinaryData) > 0 {
		return nil, errors.New("it has a kind and is no ConfigMap of v1 with data alone")
	}
	for key, value := range configMap.Data {
		if value[0] != '"' {
			return nil, fmt.Errorf("key %s of the ConfigMap is %s, which has to be a string; put it in quotes", key, value)
		}
	}
	return flat(configMap.Data)
}

// flat returns strings as they are, and numbers, true and false as they are
// written.
func flat(from map[string]json.RawMessage) (map[string]string, error) {
	data := make(map[string]string, len(from))
	for key, value := range from {
		switch value[0] {
		case '"':
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				return nil, fmt.Errorf("key %s: %w", key, err)
			}
			data[key] = text
		case '{', '[':
			return nil, fmt.Errorf("key %s holds more than one value; the keys are flat, such as freeze.until", key)
		default:
			if !bytes.Equal(value, []byte("null")) {
				data[key] = string(value)
				continue
			}
			data[key] = ""
		}
	}
	return data, nil
}
