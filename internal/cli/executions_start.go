package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/term"
)

type startOptions struct {
	*remote
	input
	tags []string
	key  string
	wait bool
}

func newExecutionsStart(streams *term.Streams, r *remote) *cobra.Command {
	o := startOptions{remote: r}
	command := &cobra.Command{
		Use:   "start",
		Short: "Start an execution",
		Long: `Starts an execution and prints its id. With --wait it shows the live log on
standard error, and prints the result at the end.

Only this one execution gets the secrets. They come from

` + indent(secretref.Syntax) + `

or from $secrets in the request, if the request is a file or standard input.
With an idempotency key you can repeat a request, for example after a lost
connection, without starting a second execution.`,
		Example: `  qhubctl executions start -d '{"data": {"message": "hello"}}' --secret api_token=@token.txt
  qhubctl executions start -d @request.json --tag nightly --wait`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.dataGiven = cmd.Flags().Changed("data")
			if err := o.check(); err != nil {
				return err
			}
			return startRun(cmd.Context(), streams, o)
		},
	}
	o.flags(command)
	flags := command.Flags()
	flags.StringArrayVar(&o.tags, "tag", nil, "a tag to find the execution by; may be repeated")
	flags.StringVar(&o.key, "idempotency-key", "", "a key for this request; a repeated request with it starts nothing new")
	flags.BoolVar(&o.wait, "wait", false, "show the log, wait for the end, and print the result")
	return command
}

// request reads the input and the secrets, and makes the request of them. The caller
// clears it, after an error, too.
func (o startOptions) request(ctx context.Context, streams *term.Streams) ([]byte, error) {
	body, secrets, err := o.read(ctx, streams)
	defer clear(body)
	defer func() {
		for _, found := range secrets {
			found.Value.Clear()
		}
	}()
	if err != nil {
		return nil, err
	}
	return buildRequest(body, secrets, o.tags)
}

func startRun(ctx context.Context, streams *term.Streams, o startOptions) error {
	request, err := o.request(ctx, streams)
	defer clear(request)
	if err != nil {
		return err
	}
	c, err := o.client(ctx, streams)
	if err != nil {
		return err
	}
	defer c.Close()
	started, err := c.Start(ctx, request, o.key)
	if err != nil {
		return err
	}
	if started.Replayed {
		streams.Say("nothing new was started: an earlier request used this key")
	}
	if o.wait {
		return o.follow(ctx, streams, c, started.Execution)
	}
	if o.output == "json" {
		return printJSON(streams, started.Execution)
	}
	if err := writeAll(streams.Out, []byte(started.Execution.ID.String()+"\n")); err != nil {
		return err
	}
	streams.Say("to follow it: qhubctl executions log -f %s", started.Execution.ID)
	return nil
}

// follow shows the log and prints the result. An interrupt ends the command, not the
// execution.
func (o startOptions) follow(ctx context.Context, streams *term.Streams, c *client.Client, e execution.Execution) error {
	streams.Say("execution %s", e.ID)
	_, err := c.Watch(ctx, e.ID, func(entry execution.LogEntry) error {
		return writeAll(streams.Log(), []byte(visible(entry.Message)+"\n"))
	})
	if errors.Is(err, context.Canceled) {
		streams.Say("the execution continues; to cancel it: qhubctl executions cancel %s", e.ID)
	}
	if err != nil {
		return err
	}
	return printResult(ctx, streams, c, e.ID, o.output)
}

// checkBodySecrets refuses secrets that the server would refuse, before they are
// sent. It leaves a value that is no object of strings to the server, which
// describes the error better.
func checkBodySecrets(raw json.RawMessage) error {
	var values map[string]jsontext.Value
	if len(raw) > 0 && json.Unmarshal(raw, &values) != nil {
		values = nil
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text, err := jsontext.AppendUnquote(nil, values[name])
		if values[name].Kind() == '"' && err != nil {
			err = plaintext.ErrNotUTF8
		} else {
			err = plaintext.Check(text)
		}
		total += len(text)
		clear(text)
		if err != nil {
			return &secretref.RefusedError{Parameter: name, From: "the request", Reason: err}
		}
	}
	if total > plaintext.MaxTotal {
		return plaintext.ErrTotal
	}
	return nil
}

// buildRequest combines the body, the secrets and the tags. It copies the text of
// the members. It refuses a body that already has secrets or tags, as the server
// could not tell which ones the user wants.
func buildRequest(body []byte, secrets map[string]secretref.Found, tags []string) ([]byte, error) {
	if body == nil {
		body = []byte("{}")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, usagef("-d is not a JSON object with a key for each parameter")
	}
	if _, ok := members[signature.SecretsKey]; ok && len(secrets) > 0 {
		return nil, usagef("the request has %s, so --secret cannot be used; give all secrets in one way", signature.SecretsKey)
	}
	if _, ok := members[signature.TagsKey]; ok && len(tags) > 0 {
		return nil, usagef("the request has %s, so --tag cannot be used; give all tags in one way", signature.TagsKey)
	}
	if err := checkBodySecrets(members[signature.SecretsKey]); err != nil {
		return nil, err
	}
	// One buffer of the full size: growing would leave copies of the secrets.
	size, total := len(body)+64, 0
	for name, found := range secrets {
		size += 6*(len(name)+found.Value.Len()) + 8
		total += found.Value.Len()
	}
	if total > plaintext.MaxTotal {
		return nil, plaintext.ErrTotal
	}
	request := append(make([]byte, 0, size), bytes.TrimSuffix(bytes.TrimSpace(body), []byte("}"))...)
	empty := len(members) == 0
	add := func(key string) {
		if !empty {
			request = append(request, ',')
		}
		empty = false
		request = append(request, `"`+key+`":`...)
	}
	if len(secrets) > 0 {
		add(signature.SecretsKey)
		opening := byte('{')
		for _, name := range slices.Sorted(maps.Keys(secrets)) {
			request = append(request, opening)
			opening = ','
			var err error
			if request, err = jsontext.AppendQuote(request, []byte(name)); err != nil {
				return request, usagef("--secret: the name is not valid UTF-8")
			}
			request = append(request, ':')
			if request, err = jsontext.AppendQuote(request, secrets[name].Value.Reveal()); err != nil {
				return request, &secretref.RefusedError{Parameter: name, From: secrets[name].From, Reason: plaintext.ErrNotUTF8}
			}
		}
		request = append(request, '}')
	}
	if len(tags) > 0 {
		list, err := json.Marshal(tags)
		if err != nil {
			return request, err
		}
		add(signature.TagsKey)
		request = append(request, list...)
	}
	return append(request, '}'), nil
}
