package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/billyronks/couchestor/server"
)

func newVersionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say what this program was built from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printVersion(cmd.OutOrStdout(), output, server.ReadBuild())
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

func printVersion(w io.Writer, output string, b server.Build) error {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	switch output {
	case "text":
		_, err := fmt.Fprintf(w, "couchestor %s\nrevision   %s\nbuilt with %s for %s\n", b.Version, b.Revision, b.Go, platform)
		return err
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			server.Build
			Platform string `json:"platform"`
		}{b, platform})
	}
	return exitError{code: exitUsage, err: fmt.Errorf("--output is %q; give text or json", output)}
}
