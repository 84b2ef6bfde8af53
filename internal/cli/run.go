package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
		if name, dir, ok := strings.Cut(pool, "="); !ok || name == "" || dir == "" {
			return usagef("--datapool %s is not of the form NAME=DIR", pool)
		}
	}
	return nil
}

// runRun runs the service once: it prepares all that can be wrong before any
// code of the service's runs with a secret in reach.
func runRun(ctx context.Context, streams *term.Streams, o runOptions) error {
	r := &running{streams: streams, options: o}
	defer r.close()
	steps := []func(context.Context) error{r.readInput, r.openService, r.placeDir, r.describe, r.resolve, r.execute}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return r.finish()
}

// poolFolder is the folder of a data pool on this machine; empty if none.
func (r *running) poolFolder(parameter string) (string, error) {
	for _, pool := range slices.Backward(r.options.dataPools) {
		name, dir, _ := strings.Cut(pool, "=")
		if name != parameter {
			continue
		}
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = errors.New("it is not a folder")
		}
		if err != nil {
			return "", fmt.Errorf("the data pool %s: %w", parameter, err)
		}
		return dir, nil
	}
	return r.service.workspace.DataPool(parameter), nil
}
