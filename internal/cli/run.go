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
		Short: "Run a service once, here and now",
		Long: `Runs the service in DIR (default: this folder) once. Its result goes to
standard output, its log to standard error as it comes, with secrets masked.

A service in Python gets its environment first: with uv if it is installed, else
with venv and pip, once per change of pyproject.toml or requirements.txt. A .venv
of your own is used as it is. A service in Go is built first, once per change of
its sources. DIR may also be a service that is built already, a program; then
input/, .env and out/ are those of the current folder.

Input is one JSON object with a key for each parameter. Without -d it is read
from the files in input/, data.json for the parameter data. Data pools are the
folders input/NAME or datapool/NAME, or given with --datapool.

Secrets come, the first that has one, from --secret, "$secrets" of the request,
the environment, the file of --env-file, and .env, whose values are taken
literally. The ways of --secret:

` + indent(secretref.Syntax) + `

Exit codes: 0 success, 1 the service failed, 2 wrong usage or a workspace that
cannot be used, 130 interrupted.`,
		Example: `  SECRET_API_TOKEN=some-token qhubctl run -d '{"data": {"message": "hello"}}'
  qhubctl run my-service -d @request.json --secret api_token=@token.txt
  echo '{"n": 4}' | qhubctl run my-service -d - --secret api_token
  qhubctl run my-service --datapool models=/data/models --output-dir results`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = dirArg(args)
			o.dataGiven = cmd.Flags().Changed("data")
			if err := o.check(); err != nil {
				return err
			}
			return runRun(cmd.Context(), streams, o)
		},
	}
	o.serviceOptions.flags(command)
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

// showReport prints the result, and returns the error of a service that failed
// or was interrupted.
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
