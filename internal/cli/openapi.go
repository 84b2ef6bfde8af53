package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/openapi"
	"github.com/qhubctl/qhubctl/internal/term"
)

type openapiOptions struct {
	serviceOptions
	file     string
	format   string
	document openapi.Options
}

func newOpenAPI(streams *term.Streams) *cobra.Command {
	var o openapiOptions
	command := &cobra.Command{
		Use:   "openapi [DIR]",
		Short: "Print the OpenAPI description of a service's API",
		Long: `Prints the OpenAPI 3.1 description of the API of the service in DIR. The request
body follows from the parameters of run, with secrets under $secrets. The result
follows from the return type of run.`,
		Example: `  qhubctl openapi
  qhubctl openapi my-service -o openapi.yaml
  qhubctl openapi --format json | jq .paths`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = dirArg(args)
			return openapiRun(cmd.Context(), streams, o)
		},
	}
	o.flags(command)
	flags := command.Flags()
	flags.StringVarP(&o.file, "output-file", "o", "", "write to this file instead of standard output")
	flags.StringVar(&o.format, "format", "", "yaml or json (default: by the name of the file, else yaml)")
	flags.StringVar(&o.document.Title, "title", "", "the title (default: the project's name)")
	flags.StringVar(&o.document.Version, "api-version", "", "the version (default: the project's)")
	flags.StringVar(&o.document.ServerURL, "server-url", "", "the address of the API (default: that of the document)")
	flags.StringVar(&o.document.TokenURL, "token-url", "", "the address where clients get an access token")
	_ = command.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"yaml", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return command
}

func openapiRun(ctx context.Context, streams *term.Streams, o openapiOptions) error {
	switch {
	case o.format == "" && filepath.Ext(o.file) == ".json":
		o.format = "json"
	case o.format == "":
		o.format = "yaml"
	case o.format != "yaml" && o.format != "json":
		return usagef("--format is %q; it may be yaml or json", o.format)
	}
	s, err := build.Open(ctx, o.build(), streams)
	if err != nil {
		return err
	}
	described, err := s.Signature(ctx, streams.Log(), build.Confinement{})
	if err != nil {
		return err
	}
	if o.document.Title == "" {
		o.document.Title = s.Workspace.Name
	}
	if o.document.Version == "" {
		o.document.Version = s.Workspace.Version
	}
	o.document.Description = described.Description
	document, err := openapi.New(described, o.document)
	if err != nil {
		return err
	}
	text, err := document.YAML()
	if o.format == "json" {
		if text, err = document.JSON(); err == nil {
			text = append(text, '\n')
		}
	}
	if err != nil {
		return err
	}
	if o.file == "" || o.file == "-" {
		return writeAll(streams.Out, text)
	}
	if err := os.WriteFile(o.file, text, 0o644); err != nil { //nolint:gosec // holds no secret; the user's umask decides
		return fmt.Errorf("cannot write the description: %w", err)
	}
	streams.Say("wrote %s", o.file)
	return nil
}
