package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/hub"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

func newServerImport(streams *term.Streams, o *serverOptions, parent *cobra.Command) *cobra.Command {
	service, format := "", ""
	fromKey := masterKey{}
	command := &cobra.Command{
		Use:   "import DIR",
		Short: "Take over the executions of a workspace that was served",
		Long: `Takes over all executions of a workspace that qhubctl serve has served: their requests,
secrets, tags, logs and results. They become executions of a service of the platform,
which must have been deployed (qhubctl up). Those that wait start with the platform.

Stop both servers first. The folder of the workspace stays unchanged. All executions are
taken over, or none: the command can be repeated after a failure. Idempotency keys are
left behind.`,
		Example: `  qhubctl up my-service
  qhubctl server import my-service --service my-service`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(format); err != nil {
				return err
			}
			if service == "" {
				return usagef("--service is missing; it names the service of the platform that the executions are of")
			}
			dir, err := o.configuredDir(parent)
			if err == nil {
				err = inFolder(dir, "changes", "deploy the workspace to the platform: qhubctl up")
			}
			if err != nil {
				return err
			}
			if err := errors.Join(o.masterKey.find(), fromKey.find()); err != nil {
				return err
			}
			from, err := servedDir(args[0])
			if err != nil {
				return err
			}
			return importRun(cmd.Context(), streams, format, hub.Adoption{
				From: from, FromKey: server.KeySource(fromKey.source, from), Dir: dir, Key: server.KeySource(o.masterKey.source, dir), Service: service,
			})
		},
	}
	command.Flags().StringVar(&service, "service", "", "the service of the platform: `NAME` in the owner's account, or an id; NAME@VERSION for one version")
	command.Flags().StringVar(&fromKey.text, "from-key", "", "where the master key of the workspace is: @FILE, env:VAR, or 'command:PROGRAM ARG...' (default: its file)")
	outputFlag(command, &format)
	return command
}

// servedDir is the folder of serve of a workspace, or the given folder if it is one.
func servedDir(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, server.DatabaseName)); err == nil {
		return dir, nil
	}
	w, err := workspace.Open(dir)
	if err != nil {
		return "", err
	}
	served, ok := w.Served()
	if !ok {
		return "", &notServedError{w.Dir}
	}
	return served, nil
}

func importRun(ctx context.Context, streams *term.Streams, format string, a hub.Adoption) error {
	if _, err := os.Stat(filepath.Join(a.Dir, server.DatabaseName)); err != nil {
		return usagef("there is no platform in %s; name its data folder with --data", a.Dir)
	}
	done := streams.Step("Importing " + a.From)
	adopted, err := hub.Adopt(ctx, a)
	done(err)
	switch {
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrNotReady):
		return &backupError{err, "deploy it first: qhubctl up"}
	case errors.Is(err, store.ErrExists):
		return &backupError{err, "they were imported before; nothing was changed"}
	case err != nil:
		return err
	}
	streams.Say("%s taken over; %d of them wait, and start with the platform", server.ExecutionCount(adopted.Executions), adopted.Waiting)
	if format == "json" {
		return printJSON(streams, map[string]int{"executions": adopted.Executions, "waiting": adopted.Waiting})
	}
	return writeAll(streams.Out, fmt.Appendf(nil, "%d\n", adopted.Executions))
}
