package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/local"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/term"
)

type runOptions struct {
	serviceOptions
	input
	dataPools []string
	outputDir string
	timeout   time.Duration
	output    string

	pools []local.DataPool // of dataPools
}

func newRun(streams *term.Streams) *cobra.Command {
	var o runOptions
	command := &cobra.Command{
		Use:   "run [DIR]",
		Short: "Run a service once on this machine",
		Long: `Runs the service in DIR (default: this folder) once. It prints the result on
standard output and the live log on standard error, with secrets masked.

For a service in Python, the command first makes the environment, and makes it
again when pyproject.toml or requirements.txt changes. It uses uv if that is
installed, else venv and pip. It uses your own .venv unchanged. A service in Go
is built again when its sources change. DIR may also be a program: a service that
is already built. Then input/, .env and out/ are in the current folder.

The input is one JSON object with a key for each parameter. Without -d, each
parameter comes from a file in input/, such as data.json for the parameter data.
Data pools are the folders input/NAME or datapool/NAME, or --datapool names them.

A secret comes from the first of these sources that has it: --secret, "$secrets"
of the request, the environment, the file of --env-file, and .env. Values in
these files are taken literally. The forms of --secret are:

` + indent(secretref.Syntax+"\n"+secretref.ReferenceSyntax) + `

With --resolve-references, or references = true under [tool.qhubctl] in
pyproject.toml, secrets in these files that begin with ref+ are references:
qhubctl fetches the values with your credentials. ref+literal://TEXT is TEXT.

Exit codes: 0 success, 1 the service failed, 2 wrong usage or a workspace that
cannot be used, 130 interrupted.`,
		Example: `  SECRET_API_TOKEN=some-token qhubctl run -d '{"data": {"message": "hello"}}'
  qhubctl run my-service -d @request.json --secret api_token=@token.txt
  echo '{"n": 4}' | qhubctl run my-service -d - --secret api_token
  qhubctl run my-service --datapool models=/data/models --output-dir results`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = dirArg(args)
			o.input.references = true
			o.dataGiven = cmd.Flags().Changed("data")
			if err := o.check(); err != nil {
				return err
			}
			return runRun(cmd.Context(), streams, o)
		},
	}
	o.serviceOptions.flags(command)
	o.referencesFlag(command)
	o.input.flags(command)
	flags := command.Flags()
	flags.StringArrayVar(&o.dataPools, "datapool", nil, "the folder of a data pool, as NAME=DIR")
	flags.StringVar(&o.outputDir, "output-dir", "", "put the files that the service writes here (default: out/ in DIR)")
	flags.DurationVar(&o.timeout, "timeout", 0, "end the service after this time, such as 30s or 5m")
	outputFlag(command, &o.output)
	_ = command.MarkFlagDirname("output-dir")
	return command
}

func (o *runOptions) check() error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	if o.timeout < 0 {
		return usagef("--timeout is negative")
	}
	if err := o.input.check(); err != nil {
		return err
	}
	for _, pool := range o.dataPools {
		name, dir, ok := strings.Cut(pool, "=")
		if !ok || name == "" || dir == "" {
			return usagef("--datapool %s is not of the form NAME=DIR", pool)
		}
		o.pools = append(o.pools, local.DataPool{Name: name, Dir: dir})
	}
	return nil
}

func runRun(ctx context.Context, streams *term.Streams, o runOptions) error {
	body, secrets, err := o.read(ctx, streams)
	if err != nil {
		return err
	}
	report, err := local.Run(ctx, local.Options{
		Service: o.build(), Body: body, Secrets: secrets, DataPools: o.pools,
		OutputDir: o.outputDir, Timeout: o.timeout,
	}, streams)
	if failed, ok := errors.AsType[*local.ResultError](err); ok {
		return &exitError{exitFailed, failed}
	}
	if err != nil {
		return err
	}
	return showReport(streams, o.output, report)
}

// showReport prints the result. It returns an error if the service failed or was
// interrupted.
func showReport(streams *term.Streams, output string, report local.Report) error {
	if output == "json" {
		if err := printJSON(streams, report); err != nil {
			return err
		}
	} else if len(report.Result) > 0 {
		if err := writeAll(streams.Result(), append(report.Result, '\n')); err != nil {
			return err
		}
	}
	if report.Status == local.Cancelled {
		return errInterrupted
	}
	if err := report.Err(); err != nil {
		return &exitError{exitFailed, err}
	}
	return nil
}
