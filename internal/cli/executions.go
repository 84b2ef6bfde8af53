package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/privatefile"
	"github.com/qhubctl/qhubctl/internal/term"
)

const (
	defaultURL    = "http://127.0.0.1:8000"
	urlVariable   = "QHUBCTL_URL"
	tokenVariable = "QHUBCTL_TOKEN"
)

// remote holds the options for the server that a command calls.
type remote struct {
	url   string
	token string
	// service is one of the platform that the user is logged in to: NAME, or
	// NAME@VERSION.
	service string
	// accessKey is the file with an access key, as @FILE.
	accessKey string
	// job finds the server of a job; nil: the options above name the server.
	job func(ctx context.Context, p *client.Platform) (endpoint string, err error)
	// output is text or json.
	output string
}

func newExecutions(streams *term.Streams) *cobra.Command {
	o := &remote{}
	command := &cobra.Command{
		Use:     "executions",
		Aliases: []string{"execution", "exec"},
		Short:   "Start and follow executions on a server",
		Long: `Starts executions of a service on a server, such as one that ` + "`qhubctl serve`" + ` runs,
and follows them to their results.

The commands call the server at --url, else at $` + urlVariable + `, else at
` + defaultURL + `. If the server needs a token, set $` + tokenVariable + ` or
give a file with --token @FILE. With --service they call a service of the platform
that you are logged in to (qhubctl login), and with --access-key they call as an
application (qhubctl apps).

Exit codes: 0 success, 1 the execution failed or was cancelled, 2 wrong usage or
the server refused or did not answer the request, 130 interrupted.`,
		Example: `  qhubctl executions start -d '{"n": 4}' --secret api_token=@token.txt --wait
  qhubctl executions list --tag nightly
  qhubctl executions start --service my-service -d @request.json --wait
  qhubctl executions log -f 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := command.PersistentFlags()
	flags.StringVar(&o.url, "url", "", "the address of the service (default: $"+urlVariable+", else "+defaultURL+")")
	flags.StringVar(&o.token, "token", "", "the file with the server's token, as @FILE (default: $"+tokenVariable+")")
	flags.StringVar(&o.output, "output", "text", "how to print: text or json")
	flags.StringVar(&o.service, "service", "", "a service of the platform that you are logged in to: `NAME`, or NAME@VERSION")
	flags.StringVar(&o.accessKey, "access-key", "", "call as the application of an access key: the file that holds it, as @FILE")
	_ = command.RegisterFlagCompletionFunc("service", completeServices(streams))
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	command.PersistentPreRunE = func(*cobra.Command, []string) error { return checkOutput(o.output) }
	command.AddCommand(
		newExecutionsStart(streams, o), newExecutionsList(streams, o), newExecutionsGet(streams, o), newExecutionsLog(streams, o),
		newExecutionsResult(streams, o), newExecutionsFiles(streams, o), newExecutionsCancel(streams, o),
	)
	for _, child := range command.Commands() {
		wrapArgs(child)
	}
	return command
}

// client makes a client for the server that the options name.
func (o *remote) client(ctx context.Context, streams *term.Streams) (*client.Client, error) {
	c, err := o.anyClient(ctx, streams)
	if err != nil || o.accessKey == "" {
		return c, err
	}
	id, secret, err := readAccessKey(o.accessKey)
	if err != nil {
		return nil, err
	}
	if err := c.UseAccessKey(id, secret); err != nil {
		return nil, err
	}
	return c, nil
}

// anyClient makes a client that calls by a token, or by none.
func (o *remote) anyClient(ctx context.Context, streams *term.Streams) (*client.Client, error) {
	if o.accessKey != "" && o.token != "" {
		return nil, usagef("--access-key and --token are two ways to call; give one")
	}
	if o.service != "" || o.job != nil {
		return o.platformClient(ctx, streams)
	}
	address := o.url
	if address == "" {
		address = os.Getenv(urlVariable)
	}
	if address == "" {
		address = defaultURL
	}
	token, err := o.readToken()
	if err != nil {
		return nil, err
	}
	c, err := client.New(address, token)
	if err != nil {
		return nil, &usageError{err}
	}
	if token.Len() > 0 && c.Exposed() {
		streams.Warn("the token goes to %s unencrypted; use https", address)
	}
	return c, nil
}

// platformClient makes a client for a service of the platform.
func (o *remote) platformClient(ctx context.Context, streams *term.Streams) (*client.Client, error) {
	if o.url != "" || o.token != "" {
		return nil, usagef("--service is of the platform that you are logged in to; it needs neither --url nor --token")
	}
	l, err := currentLogin()
	if err != nil {
		return nil, err
	}
	p, err := openPlatform(streams, l)
	if err != nil {
		return nil, err
	}
	find := o.job
	if find == nil {
		find = func(ctx context.Context, p *client.Platform) (string, error) { return p.Endpoint(ctx, o.service) }
	}
	endpoint, err := find(ctx, p)
	if err != nil {
		return nil, loginHint(err)
	}
	return p.At(endpoint)
}

// maxToken is the largest token file in bytes.
const maxToken = 64 << 10

// readToken reads the token. As with a secret, the command line cannot hold it, and
// errors do not repeat it.
func (o *remote) readToken() (plaintext.Bytes, error) {
	if o.token == "" {
		return plaintext.FromString(strings.TrimSpace(os.Getenv(tokenVariable))), nil
	}
	path, ok := strings.CutPrefix(o.token, "@")
	if !ok || path == "" {
		return plaintext.Bytes{}, usagef("--token takes @FILE, not the token itself, which every user of this machine could read; or set %s", tokenVariable)
	}
	text, err := privatefile.Read(path, maxToken)
	if err != nil {
		return plaintext.Bytes{}, usagef("--token: %w", err)
	}
	return plaintext.FromString(strings.TrimSpace(string(text))), nil
}

// idArg reads the id of an execution.
func idArg(argument string) (execution.ID, error) {
	id, err := execution.ParseID(argument)
	if err != nil {
		return "", &unknownIDError{argument, err}
	}
	return id, nil
}

type unknownIDError struct {
	argument string
	err      error
}

func (e *unknownIDError) Error() string { return fmt.Sprintf("%q: %v", e.argument, e.err) }
func (e *unknownIDError) Hint() string  { return "`qhubctl executions list` shows the ids" }

// verdictOf returns the error of a command whose execution has not succeeded, or
// nil.
func verdictOf(e execution.Execution, problem json.RawMessage) error {
	switch e.Status {
	case execution.Succeeded:
		return nil
	case execution.Cancelled:
		return &exitError{exitFailed, errors.New("the execution was cancelled")}
	default:
		var p execution.Problem
		if json.Unmarshal(problem, &p) != nil || p.Title == "" {
			return &exitError{exitFailed, errors.New("the execution failed")}
		}
		return &exitError{exitFailed, fmt.Errorf("the execution failed: %s", visible(p.Error()))}
	}
}

// visible makes text from others safe to print: it replaces control characters, which
// a terminal would obey.
func visible(text string) string {
	isOrder := func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r >= 0x7f && r < 0xa0 }
	if strings.IndexFunc(text, isOrder) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if isOrder(r) {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
