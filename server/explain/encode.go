package explain

import (
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// JSON writes a value as it is answered on the ops address.
func JSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("encode the explanation: %w", err)
	}
	return nil
}

// YAML writes the same as YAML.
func YAML(w io.Writer, value any) error {
	text, err := yaml.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode the explanation: %w", err)
	}
	_, err = w.Write(text)
	return err
}
