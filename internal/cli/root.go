// Package cli is the command line. Each command has a file, with an options struct,
// flags, and a run function that takes the options and can be called alone.
//
// A command writes its results to standard output, and all else (progress, logs,
// errors, hints) to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/interrupt"
	"github.com/qhubctl/qhubctl/internal/local"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/term"
)

// These are the exit codes. The exit code of a service does not become that of the
// command: every service that fails gives exitFailed.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// exitError ends the program with the given code. Without an error in it, the
// command has already printed everything.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError is wrong usage of a command. The report adds the usage line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// errInterrupted is the error of a command that the user has stopped.
var errInterrupted = errors.New("interrupted")

// Main runs the command that args name and returns the exit code. It first hides
// the environment and the memory of this process from the programs that the
// command starts. If the system cannot do that, the command runs unprotected:
// docs/security.md says so.
func Main(args []string) int {
	_ = environ.Hide() // before Protect: see there
	_ = sandbox.Protect()
	return Run(context.Background(), args, term.System())
}

// Run is Main with streams and a context of the caller's choice.
func Run(ctx context.Context, args []string, streams *term.Streams) int {
	ctx, stop := interrupt.Context(ctx)
	defer stop()
	root := newRoot(streams)
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	command, err := root.ExecuteContextC(ctx)
	return report(streams, command, err)
}

// report prints an error and returns the exit code for it.
func report(streams *term.Streams, command *cobra.Command, err error) int {
	var exit *exitError
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		if exit.err != nil {
			streams.Error(exit.err)
		}
		return exit.code
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		streams.Say("interrupted")
		return exitInterrupted
	case errors.As(err, &usage), isUsage(err):
		streams.Error(err)
		streams.Say("usage: %s\nMore: %s --help", command.UseLine(), command.CommandPath())
		return exitUsage
	default:
		streams.Error(err)
		return exitUsage
	}
}

// isUsage reports whether an error of another package is about wrong usage.
func isUsage(err error) bool {
	_, ok := errors.AsType[*local.UsageError](err)
	return ok
}

const about = `qhubctl runs Python and Go functions as services and keeps their secrets out of
logs, results and process environments.

A service is a function run(...) in Python or Go. It gets its parameters from
three sources: inputs from the request, secrets from the environment, and data
pools from a folder. Start with:

  qhubctl init my-service
  cd my-service
  export SECRET_API_TOKEN=some-token
  qhubctl run -d '{"data": {"message": "hello"}}'`

func newRoot(streams *term.Streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "qhubctl",
		Short:         "Services with secrets",
		Long:          about,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.PersistentFlags().BoolVarP(&streams.Quiet, "quiet", "q", false, "print only errors and results")
	root.AddCommand(
		newInit(streams), newRun(streams), newServe(streams), newDescribe(streams), newOpenAPI(streams),
		newExecutions(streams), newKeys(streams), newDoctor(streams), newVersion(streams),
		newLogin(streams), newLogout(streams), newOpen(streams), newContext(streams), newTokens(streams), newOrg(streams), newApps(streams), newAccessKeys(streams), newDataPools(streams), newSecrets(streams),
		newServer(streams), newPrepare(streams), newUp(streams), newServices(streams), newAudit(streams), newJobs(streams),
	)
	root.InitDefaultCompletionCmd("completion") // before the loop, which includes it
	for _, command := range root.Commands() {
		if command.HasSubCommands() && command.RunE == nil {
			command.Args, command.RunE = cobra.NoArgs, root.RunE
		}
		wrapArgs(command)
	}
	wrapArgs(root)
	return root
}

// wrapArgs makes a wrong number of arguments a usage error.
func wrapArgs(command *cobra.Command) {
	check := command.Args
	command.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}

// outputFlag adds --output.
func outputFlag(command *cobra.Command, format *string) {
	command.Flags().StringVar(format, "output", "text", "how to print: text or json")
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func checkOutput(format string) error {
	if format != "text" && format != "json" {
		return usagef("--output is %q; it may be text or json", format)
	}
	return nil
}

// dirArg is the folder that a command works on: its only argument, or the current
// folder.
func dirArg(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

func writeAll(w io.Writer, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return &exitError{exitFailed, fmt.Errorf("cannot write the output: %w", err)}
	}
	return nil
}
