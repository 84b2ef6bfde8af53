package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/term"
)

// remoteRun is the function of a command that uses a client.
type remoteRun func(ctx context.Context, c *client.Client) error

// call runs a command of a server.
func (o *remote) call(ctx context.Context, streams *term.Streams, run remoteRun) error {
	c, err := o.client(ctx, streams)
	if err != nil {
		return err
	}
	defer c.Close()
	return run(ctx, c)
}

func newExecutionsList(streams *term.Streams, o *remote) *cobra.Command {
	var tag string
	var limit int
	command := &cobra.Command{
		Use:   "list",
		Short: "List executions, the newest first",
		Example: `  qhubctl executions list
  qhubctl executions list --tag nightly --limit 500 --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return usagef("--limit is %d; it must be at least 1", limit)
			}
			return o.call(cmd.Context(), streams, func(ctx context.Context, c *client.Client) error {
				all, err := c.List(ctx, tag, limit)
				if err != nil {
					return err
				}
				if o.output == "json" {
					return printJSON(streams, all)
				}
				return writeAll(streams.Out, []byte(executionTable(all)))
			})
		},
	}
	command.Flags().StringVar(&tag, "tag", "", "list only executions with this tag")
	command.Flags().IntVar(&limit, "limit", 50, "list at most this many executions")
	return command
}

func executionTable(all []execution.Execution) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tSTATUS\tCREATED\tTOOK\tTAGS")
	for _, e := range all {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.ID, e.Status, localTime(e.CreatedAt), duration(e), visible(strings.Join(e.Tags, ", ")))
	}
	_ = table.Flush() // into a strings.Builder
	return b.String()
}

func localTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// duration is how long an execution has run, in whole seconds as in the API.
func duration(e execution.Execution) string {
	switch {
	case e.StartedAt.IsZero():
		return "-"
	case e.EndedAt.IsZero():
		return time.Since(e.StartedAt).Truncate(time.Second).String()
	default:
		return e.EndedAt.Sub(e.StartedAt).String()
	}
}

func newExecutionsGet(streams *term.Streams, o *remote) *cobra.Command {
	var wait bool
	command := &cobra.Command{
		Use:   "get ID",
		Short: "Show the state of an execution",
		Example: `  qhubctl executions get 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c
  qhubctl executions get 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c --wait --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := idArg(args[0])
			if err != nil {
				return err
			}
			return o.call(cmd.Context(), streams, func(ctx context.Context, c *client.Client) error {
				read := c.Get
				if wait {
					read = c.Wait
				}
				e, err := read(ctx, id)
				if err != nil {
					return err
				}
				if o.output == "json" {
					return printJSON(streams, e)
				}
				return writeAll(streams.Out, []byte(executionText(e)))
			})
		},
	}
	command.Flags().BoolVar(&wait, "wait", false, "wait until it has ended")
	return command
}

func executionText(e execution.Execution) string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"ID", e.ID.String()},
		{"Status", string(e.Status)},
		{"Created", localTime(e.CreatedAt)},
		{"Started", localTime(e.StartedAt)},
		{"Ended", localTime(e.EndedAt)},
		{"Tags", visible(strings.Join(e.Tags, ", "))},
	} {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", row[0], row[1])
	}
	_ = table.Flush() // into a strings.Builder
	return b.String()
}

func newExecutionsLog(streams *term.Streams, o *remote) *cobra.Command {
	var follow bool
	command := &cobra.Command{
		Use:   "log ID",
		Short: "Show the log of an execution",
		Long: `Shows the log of an execution. With -f it follows the log until the execution
has ended. With --output json it prints one object a line.`,
		Example: `  qhubctl executions log -f 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := idArg(args[0])
			if err != nil {
				return err
			}
			return o.call(cmd.Context(), streams, func(ctx context.Context, c *client.Client) error {
				return o.log(ctx, streams, c, id, follow)
			})
		},
	}
	command.Flags().BoolVarP(&follow, "follow", "f", false, "follow the log until the execution has ended")
	return command
}

func (o *remote) log(ctx context.Context, streams *term.Streams, c *client.Client, id execution.ID, follow bool) error {
	if follow {
		e, err := c.Watch(ctx, id, func(entry execution.LogEntry) error { return o.logLine(streams, entry) })
		if err == nil {
			streams.Say("the execution has ended: %s", e.Status)
		}
		return err
	}
	entries, err := c.Log(ctx, id)
	if err != nil {
		return err
	}
	if o.output == "json" {
		return printJSON(streams, entries)
	}
	for _, entry := range entries {
		if err := o.logLine(streams, entry); err != nil {
			return err
		}
	}
	return nil
}

func (o *remote) logLine(streams *term.Streams, entry execution.LogEntry) error {
	if o.output == "json" {
		text, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		return writeAll(streams.Out, append(text, '\n'))
	}
	at := entry.Timestamp.Local().Format(time.DateTime)
	return writeAll(streams.Out, fmt.Appendf(nil, "%s %-7s %s\n", at, entry.Severity, visible(entry.Message)))
}

func newExecutionsResult(streams *term.Streams, o *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "result ID",
		Short: "Print the result of an execution",
		Long: `Prints the value that an execution has returned. With --output json it prints
the whole answer of the server, with its links. If the execution failed, it
prints the reason and exits with 1.`,
		Example: `  qhubctl executions result 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c | jq .total`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := idArg(args[0])
			if err != nil {
				return err
			}
			return o.call(cmd.Context(), streams, func(ctx context.Context, c *client.Client) error {
				return printResult(ctx, streams, c, id, o.output)
			})
		},
	}
}

// plainResults are the files that can hold a result that is no object.
var plainResults = []string{"output.json", "output.txt"}

// printResult prints the result of an execution that has ended.
func printResult(ctx context.Context, streams *term.Streams, c *client.Client, id execution.ID, output string) error {
	result, err := c.Result(ctx, id)
	if err != nil {
		return err
	}
	if output == "json" {
		if err := writeAll(streams.Out, append(bytes.TrimSpace(result.Document), '\n')); err != nil {
			return err
		}
		return verdictOf(result.Execution, result.Members)
	}
	if err := verdictOf(result.Execution, result.Members); err != nil {
		return err
	}
	text := []byte(result.Members)
	var others []string
	for _, name := range result.Files {
		if string(text) == "{}" && (name == plainResults[0] || name == plainResults[1]) {
			if text, err = readFile(ctx, c, id, name); err != nil {
				return err
			}
			continue
		}
		others = append(others, name)
	}
	if len(others) > 0 {
		streams.Say("result files: %s\nto download them: qhubctl executions files %s --download DIR", visible(strings.Join(others, ", ")), id)
	}
	return writeAll(streams.Out, append(bytes.TrimSpace(text), '\n'))
}

// maxPrinted is the largest result in bytes that is printed.
const maxPrinted = 256 << 20

func readFile(ctx context.Context, c *client.Client, id execution.ID, name string) ([]byte, error) {
	content, _, err := c.Open(ctx, id, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }()
	text, err := io.ReadAll(io.LimitReader(content, maxPrinted+1))
	if err == nil && len(text) > maxPrinted {
		err = errors.New("it is too large to print; download it with `qhubctl executions files --download DIR`")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the result: %w", err)
	}
	return text, nil
}

func newExecutionsCancel(streams *term.Streams, o *remote) *cobra.Command {
	return &cobra.Command{
		Use:     "cancel ID...",
		Short:   "Cancel executions",
		Long:    `Cancels executions. An execution that has ended stays unchanged.`,
		Example: `  qhubctl executions cancel 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids := make([]execution.ID, len(args))
			for i, argument := range args {
				var err error
				if ids[i], err = idArg(argument); err != nil {
					return err
				}
			}
			return o.call(cmd.Context(), streams, func(ctx context.Context, c *client.Client) error {
				for _, id := range ids {
					if err := c.Cancel(ctx, id); err != nil {
						return err
					}
					streams.Say("%s: cancelled, unless it had ended before", id)
				}
				return nil
			})
		},
	}
}
