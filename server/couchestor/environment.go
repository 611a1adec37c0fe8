package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// envPrefix begins the name of every variable: --cache-ttl is
// COUCHESTOR_CACHE_TTL.
const envPrefix = "COUCHESTOR_"

// settings makes the flags of a command settable from the environment, and
// keeps their faults until all are known.
type settings struct {
	// plain has second, documented names of variables, by flag. The name with
	// the prefix wins.
	plain map[string]string
	// only limits the environment to some flags; nil means all.
	only   func(flag string) bool
	faults []error
}

// adopt takes over the flags of cmd, and is called after the last of them was
// added. From then on a flag that cannot be read does not end the parsing;
// [settings.read] tells all that could not.
func (s *settings) adopt(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		var names []string
		for _, name := range s.names(f.Name) {
			if !strings.Contains(f.Usage, name) {
				names = append(names, "$"+name)
			}
		}
		if len(names) > 0 {
			f.Usage += " [" + strings.Join(names, ", ") + "]"
		}
		f.Value = &patient{Value: f.Value, flag: f.Name, settings: s}
	})
}

// read fills in the flags that the command line did not set, from the
// environment, and returns every fault of both.
func (s *settings) read(cmd *cobra.Command) error {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		p, ok := f.Value.(*patient)
		if !ok || f.Changed {
			return
		}
		for _, name := range s.names(f.Name) {
			// Empty counts as not set: that is what an optional key of a ConfigMap
			// becomes.
			text := os.Getenv(name)
			if text == "" {
				continue
			}
			p.set("$"+name, text)
			return
		}
	})
	return errors.Join(s.faults...)
}

// names are the names of the flag's variables, the one that wins first.
func (s *settings) names(flag string) []string {
	if flag == "help" || s.only != nil && !s.only(flag) {
		return nil
	}
	names := []string{envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
	if plain, ok := s.plain[flag]; ok {
		names = append(names, plain)
	}
	return names
}

// hints say what would do, by type of flag. Types without one say it in their
// error.
var hints = map[string]string{
	"duration": "which is no duration; give one such as 30s or 1h30m",
	"int":      "which is no whole number; give one such as 2",
	"bool":     "which is neither true nor false; give one of them",
}

// patient is a flag's value that notes a fault instead of ending the parsing.
type patient struct {
	pflag.Value
	flag     string
	settings *settings
}

// Set implements [pflag.Value] and returns no error.
func (p *patient) Set(text string) error {
	p.set("--"+p.flag, text)
	return nil
}

// set takes text, or notes that what is called name cannot be read and leaves
// the value as it was, so that it is not found at fault twice.
func (p *patient) set(name, text string) {
	before := p.Value.String()
	err := p.Value.Set(text)
	if err == nil {
		return
	}
	_ = p.Value.Set(before)
	p.settings.faults = append(p.settings.faults,
		fmt.Errorf("%s is %q, %s", name, text, cmp.Or(hints[p.Type()], err.Error())))
}
