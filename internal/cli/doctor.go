package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// A finding is the result of one check.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warning or problem
	Says   string `json:"says"`
	// Advice says how to fix the finding. It is empty if all is well.
	Advice string `json:"advice,omitempty"`
}

const (
	isOK      = "ok"
	isWarning = "warning"
	isProblem = "problem"
)

type doctorOptions struct {
	serviceOptions
	deployed secretOf
	output   string
}

func newDoctor(streams *term.Streams) *cobra.Command {
	var o doctorOptions
	command := &cobra.Command{
		Use:   "doctor [DIR]",
		Short: "Check this machine and a workspace",
		Long: `Checks the tools that services need (Python and uv, or Go), and the sandbox
layers of this machine. If DIR holds a service, it also checks the environment,
the description and the secrets of the service, and whether git could commit
the secrets. It changes and installs nothing, and never shows the value of a
secret.

With --service it checks instead the secrets of a service that is deployed on the
platform: from where an execution gets each, or that it is missing.

The exit code is 1 if there is a problem. A warning is no problem.`,
		Example: `  qhubctl doctor
  qhubctl doctor my-service --output json
  qhubctl doctor --service my-service`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = dirArg(args)
			if err := checkOutput(o.output); err != nil {
				return err
			}
			if o.deployed != (secretOf{}) {
				if len(args) > 0 {
					return usagef("--service names a deployed service and %s a workspace; give one of them", args[0])
				}
				return onLogin(cmd.Context(), streams, o.doctorDeployed)
			}
			return doctorRun(cmd.Context(), streams, o)
		},
	}
	o.flags(command)
	o.deployed.flags(streams, command)
	outputFlag(command, &o.output)
	return command
}

func doctorRun(ctx context.Context, streams *term.Streams, o doctorOptions) error {
	var language workspace.Language
	if w, err := o.build().Locate(); err == nil {
		language = w.Language
	}
	findings := append(checkMachine(ctx, language), checkWorkspace(ctx, streams, o.serviceOptions)...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return showDoctor(streams, o.output, findings)
}

// showDoctor prints findings. One that is a problem ends the command with exit code 1.
func showDoctor(streams *term.Streams, output string, findings []finding) error {
	var err error
	if output == "json" {
		err = printJSON(streams, findings)
	} else {
		err = writeAll(streams.Out, []byte(findingsText(streams, findings)))
	}
	if err != nil {
		return err
	}
	for _, f := range findings {
		if f.Status == isProblem {
			return &exitError{code: exitFailed}
		}
	}
	return nil
}

func findingsText(streams *term.Streams, findings []finding) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.Status, f.Check, term.Quote(f.Says))
	}
	_ = table.Flush() // into a strings.Builder
	lines := strings.SplitAfter(b.String(), "\n")
	b.Reset()
	for i, f := range findings {
		// Colour is added after the layout, which would count the colour codes.
		b.WriteString(strings.Replace(lines[i], f.Status, sign(streams, f.Status), 1))
		if f.Advice != "" {
			b.WriteString("         " + streams.Faint("→ "+term.Quote(f.Advice)) + "\n")
		}
	}
	return b.String()
}

func sign(streams *term.Streams, status string) string {
	switch status {
	case isOK:
		return streams.Good(status)
	case isProblem:
		return streams.Bad(status)
	default:
		return streams.Notice(status)
	}
}
