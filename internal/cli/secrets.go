package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/term"
)

func newSecrets(streams *term.Streams) *cobra.Command {
	return group(&cobra.Command{
		Use:     "secrets",
		Aliases: []string{"secret"},
		Short:   "Store secrets for services, rotate them, and check them",
		Long: `A stored secret reaches executions without being in their requests. It belongs to
a service (--service), to the subscription of an application (--app and --service), or
to the account. NAME is the parameter that gets the secret. A secret of the account
has any name, and is bound to parameters of services.

No command and no answer of the platform shows a value.`,
		Example: `  qhubctl secrets set api_token --service my-service
  qhubctl secrets rotate api_token --service my-service --keep 24h < new-token
  qhubctl secrets check --service my-service`,
	}, newSecretsSet(streams), newSecretsRotate(streams), newSecretsList(streams), newSecretsShow(streams), newSecretsHistory(streams),
		newSecretsRemove(streams), newSecretsImport(streams), newSecretsCheck(streams), newSecretsOverride(streams), newSecretsHook(streams),
		newSecretsBind(streams, true), newSecretsBind(streams, false))
}

// secretOf are the flags that name what a secret belongs to.
type secretOf struct{ app, service string }

func (o *secretOf) flags(streams *term.Streams, command *cobra.Command) {
	command.Flags().StringVar(&o.service, "service", "", "the name or the id of a service")
	command.Flags().StringVar(&o.app, "app", "", "the name or the id of an application that is subscribed to the service")
	completesFlag(streams, command, "service", serviceNames)
	completesFlag(streams, command, "app", appNames)
}

// completesFlag has a flag completed with names from the server.
func completesFlag(streams *term.Streams, command *cobra.Command, flag string, names func(context.Context, *client.Platform) ([]string, error)) {
	var argument cobra.Command
	completes(streams, &argument, names)
	_ = command.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) { // the flag exists
		return argument.ValidArgsFunction(cmd, nil, begun)
	})
}

func serviceNames(ctx context.Context, p *client.Platform) ([]string, error) {
	services, err := p.Services(ctx)
	names := make([]string, 0, len(services))
	for _, s := range services {
		names = append(names, s.Name)
	}
	return names, err
}

// find finds the ids.
func (o *secretOf) find(ctx context.Context, p *client.Platform) (client.SecretOf, error) {
	switch {
	case o.app == "" && o.service == "":
		return client.SecretOf{}, nil
	case o.app == "":
		s, err := p.Service(ctx, o.service)
		return client.SecretOf{Service: s.ID}, err
	case o.service == "":
		return client.SecretOf{}, usagef("--app needs --service: a secret of an application is for one service")
	}
	app, err := p.Application(ctx, o.app)
	if err != nil {
		return client.SecretOf{}, err
	}
	s, err := p.Subscription(ctx, app.ID, o.service)
	return client.SecretOf{Service: s.Service.ID, Application: app.ID}, err
}

// String names what a secret belongs to.
func (o *secretOf) String() string {
	switch {
	case o.app != "":
		return "the application " + o.app + " with the service " + o.service
	case o.service != "":
		return "the service " + o.service
	default:
		return "the account"
	}
}

// valueError refuses a value on the command line, without repeating it.
type valueError struct{ command string }

func (e *valueError) Error() string {
	return "secrets " + e.command + " takes a name only: every user of this machine could read a value on the command line"
}

func (e *valueError) Hint() string {
	return "give the value on standard input, by --from-file FILE, or at the prompt"
}

// takesName is for a command whose only argument is the name of a secret. Errors do not
// repeat further arguments: one may be a value.
func takesName(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("name the secret")
	case len(args) > 1 || strings.ContainsAny(args[0], "= \n"):
		return &valueError{cmd.Name()}
	default:
		return nil
	}
}

// onSecret is onPlatform for a command about one secret.
func onSecret(streams *term.Streams, command *cobra.Command, output *string, run func(ctx context.Context, p *client.Platform, of client.SecretOf, name string) error) *cobra.Command {
	of := &secretOf{}
	of.flags(streams, command)
	command.Args = takesName
	onPlatform(streams, command, output, func(ctx context.Context, p *client.Platform, args []string) error {
		found, err := of.find(ctx, p)
		if err != nil {
			return err
		}
		return run(ctx, p, found, args[0])
	})
	completes(streams, command, func(ctx context.Context, p *client.Platform) ([]string, error) {
		found, err := of.find(ctx, p)
		if err != nil {
			return nil, err
		}
		all, err := p.Secrets(ctx, found, kindOf(found))
		names := make([]string, 0, len(all))
		for _, s := range all {
			names = append(names, s.Name)
		}
		return names, err
	})
	return command
}

// kindOf is the kind of the secrets of a place.
func kindOf(of client.SecretOf) string {
	switch {
	case of.Application != "":
		return "SUBSCRIPTION"
	case of.Service != "":
		return "SERVICE"
	default:
		return "TENANT"
	}
}

// secretTerms are the flags of a new version.
type secretTerms struct {
	file, expires, keep, override, reference string
}

func (t *secretTerms) flags(command *cobra.Command, keep string) {
	command.Flags().StringVar(&t.file, "from-file", "", "read the value from a file, without the line end after it")
	command.Flags().StringVar(&t.expires, "expires", "", "when the value expires: 2030-12-31, or a duration such as 720h")
	command.Flags().StringVar(&t.keep, "keep", keep, "how long the version before stays usable if the new one is deleted or expires")
	command.Flags().StringVar(&t.override, "override", "", "which callers may replace it in a request: none, own (of the account), any")
}

// read makes the terms of a request.
func (t *secretTerms) read() (client.SecretTerms, error) {
	terms := client.SecretTerms{ExpiresAt: t.expires, Keep: t.keep, Override: strings.ToUpper(t.override)}
	if after, err := time.ParseDuration(t.expires); err == nil {
		if after <= 0 {
			return terms, usagef("--expires must be in the future")
		}
		terms.ExpiresAt = time.Now().Add(after).UTC().Format(time.RFC3339)
	}
	return terms, nil
}

// readStored reads the value of a secret from a file, from the terminal, or from standard
// input. One line end after it is dropped, and of a file a byte order mark.
func readStored(ctx context.Context, streams *term.Streams, name, file string) (plaintext.Bytes, error) {
	if file == "" && streams.Interactive {
		return checked(streams.AskSecret(ctx, name))
	}
	from := streams.In
	if file != "" && file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return plaintext.Bytes{}, fmt.Errorf("cannot read the value: %w", err)
		}
		defer func() { _ = opened.Close() }()
		from = opened
	}
	const framing = 5                                   // a byte order mark and a line end
	buffer := make([]byte, plaintext.MaxSize+framing+1) // growing would leave copies behind
	n, err := io.ReadFull(from, buffer)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		clear(buffer)
		return plaintext.Bytes{}, fmt.Errorf("cannot read the value: %w", err)
	}
	value := buffer[:n]
	for _, end := range []byte{'\n', '\r'} {
		if !bytes.HasSuffix(value, []byte{end}) {
			break
		}
		value = value[:len(value)-1]
	}
	if from != streams.In { // a file
		value = plaintext.TrimBOM(value)
	}
	if len(value) == 0 {
		return plaintext.Bytes{}, &usageError{errNoValue}
	}
	return checked(plaintext.New(value), nil)
}

func checked(value plaintext.Bytes, err error) (plaintext.Bytes, error) {
	if err != nil {
		return value, err
	}
	if err := plaintext.Check(value.Reveal()); err != nil {
		value.Clear()
		return plaintext.Bytes{}, fmt.Errorf("the value %w", err)
	}
	return value, nil
}

func newSecretsSet(streams *term.Streams) *cobra.Command {
	return putsSecret(streams, &cobra.Command{
		Use: "set NAME", Short: "Store a secret, or a new version of it",
		Long: `Reads the value from standard input, from a file (--from-file), or at a prompt that
does not show it. A secret that exists gets a new version, which new executions use.
Executions that wait or run keep theirs; then the server destroys the old value.

With --reference the server stores no value: it fetches the value from another store
when an execution starts, if its operator allows that (--reference-schemes).`,
		Example: `  qhubctl secrets set api_token --service my-service
  qhubctl secrets set api_token --app shop --service my-service --from-file token.txt
  qhubctl secrets set db_password --service my-service --reference 'ref+vault://kv/shop/database#/password'
  pass show token | qhubctl secrets set shared-token --expires 2030-12-31`,
	}, "", false)
}

func newSecretsRotate(streams *term.Streams) *cobra.Command {
	return putsSecret(streams, &cobra.Command{
		Use: "rotate NAME", Short: "Replace the value of a secret, and keep the former one for a while",
		Long: `Reads the new value as set does. New executions use it; those that wait or run keep
theirs. The former version stays for the time of --keep: if you delete the new version
meanwhile, or it expires, new executions use the former one again. Without a value, the
hook of the secret runs, if it has one (qhubctl secrets hook).`,
		Example: `  qhubctl secrets rotate api_token --service my-service --keep 24h < new-token
  qhubctl secrets rm api_token --service my-service --version 2`,
	}, "24h", true)
}

// putsSecret is a command that adds a version to a secret.
func putsSecret(streams *term.Streams, command *cobra.Command, keep string, rotate bool) *cobra.Command {
	var output string
	terms := &secretTerms{}
	terms.flags(command, keep)
	terms.referenceFlag(command)
	return onSecret(streams, command, &output, func(ctx context.Context, p *client.Platform, of client.SecretOf, name string) error {
		given, err := terms.read()
		if err != nil {
			return err
		}
		set, weak, err := terms.put(ctx, streams, p, of, name, given, rotate)
		if err != nil {
			return err
		}
		if weak != "" {
			streams.Warn("%s is easy to guess: %s", name, weak)
		}
		if output == "json" {
			return printJSON(streams, set)
		}
		streams.Say("%s has version %d", name, set.Newest.Version)
		return nil
	})
}

func showSecrets(streams *term.Streams, output string, all []client.StoredSecret, names map[string]string) error {
	if output == "json" {
		return printJSON(streams, all)
	}
	name := func(id string) string {
		if known := names[id]; known != "" {
			return known
		}
		return id
	}
	rows := make([][]string, 0, len(all))
	for _, s := range all {
		of := "account"
		switch s.Kind {
		case "SERVICE":
			of = "service " + name(s.ServiceID)
		case "SUBSCRIPTION":
			of = "application " + name(s.ApplicationID) + ", service " + name(s.ServiceID)
		case "ENVIRONMENT":
			of = "environment of " + name(s.ServiceID)
		case "PROVIDER":
			of = "provider token"
		}
		version := strconv.Itoa(s.Version)
		switch {
		case s.Version == 0:
			version = "none (" + strings.ToLower(s.Newest.State) + ")"
		case s.Newest.Reference != "":
			version += " (reference)"
		}
		rows = append(rows, []string{s.Name, of, version, orDash(s.Newest.SetAt), orDash(s.Newest.ExpiresAt), orDash(s.UsedAt), strings.ToLower(s.Override)})
	}
	return table(streams, "NAME | OF | VERSION | SET | EXPIRES | USED | OVERRIDE", rows)
}

func newSecretsList(streams *term.Streams) *cobra.Command {
	var output string
	of := &secretOf{}
	command := &cobra.Command{
		Use: "list", Short: "List stored secrets, without values", Args: cobra.NoArgs,
		Long:    "Lists all stored secrets of the account, those of a service, or those of an application.",
		Example: "  qhubctl secrets list\n  qhubctl secrets list --service my-service",
	}
	of.flags(streams, command)
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		found, names := client.SecretOf{}, map[string]string{}
		if of.app != "" && of.service == "" {
			app, err := p.Application(ctx, of.app)
			if err != nil {
				return err
			}
			found.Application = app.ID
		} else {
			var err error
			if found, err = of.find(ctx, p); err != nil {
				return err
			}
		}
		all, err := p.Secrets(ctx, found, "")
		if err != nil {
			return err
		}
		if services, err := p.Services(ctx); err == nil { // their names are nicer
			for _, s := range services {
				names[s.ID] = s.Name
			}
		}
		return showSecrets(streams, output, all, names)
	})
}

func newSecretsShow(streams *term.Streams) *cobra.Command {
	var output string
	return onSecret(streams, &cobra.Command{
		Use: "show NAME", Short: "Show a stored secret, without its value", Example: "  qhubctl secrets show api_token --service my-service",
	}, &output, func(ctx context.Context, p *client.Platform, of client.SecretOf, name string) error {
		s, err := p.Secret(ctx, of, name)
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, s)
		}
		var bound []string
		for _, b := range s.Bindings {
			bound = append(bound, b.Parameter+" of "+b.ServiceID)
		}
		var b strings.Builder
		for _, line := range append([][2]string{
			{"Name", s.Name}, {"Of", strings.ToLower(s.Kind)}, {"Service", s.ServiceID}, {"Application", s.ApplicationID},
			{"Version", strconv.Itoa(s.Version)}, {"Reference", s.Newest.Reference}, {"Made", orDash(s.CreatedAt)}, {"Set", orDash(s.Newest.SetAt) + " by " + s.Newest.SetBy},
			{"Expires", orDash(s.Newest.ExpiresAt)}, {"Used", orDash(s.UsedAt)}, {"Override", strings.ToLower(s.Override)}, {"Bound to", strings.Join(bound, ", ")},
		}, hookLines(s.Rotation)...) {
			if line[1] != "" {
				fmt.Fprintf(&b, "%-12s %s\n", line[0], visible(line[1]))
			}
		}
		return writeAll(streams.Out, []byte(b.String()))
	})
}

func newSecretsHistory(streams *term.Streams) *cobra.Command {
	var output string
	return onSecret(streams, &cobra.Command{
		Use: "history NAME", Short: "List the versions of a stored secret, the newest first", Example: "  qhubctl secrets history api_token --service my-service",
	}, &output, func(ctx context.Context, p *client.Platform, of client.SecretOf, name string) error {
		s, err := p.Secret(ctx, of, name)
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, s.Versions)
		}
		rows := make([][]string, 0, len(s.Versions))
		for _, v := range s.Versions {
			state := strings.ToLower(v.State)
			if v.Version == s.Version {
				state = "in use"
			}
			rows = append(rows, []string{
				strconv.Itoa(v.Version), state, orDash(v.SetAt), v.SetBy, orDash(v.ExpiresAt), orDash(v.KeptUntil), orDash(v.UsedAt), orDash(&v.UsedBy), orDash(&v.Reference),
			})
		}
		return table(streams, "VERSION | STATE | SET | BY | EXPIRES | KEPT UNTIL | USED | BY EXECUTION | REFERENCE", rows)
	})
}

func newSecretsRemove(streams *term.Streams) *cobra.Command {
	var version int
	command := &cobra.Command{
		Use: "rm NAME", Short: "Delete a stored secret, or one version of it",
		Long: `New executions do not get the secret any more. Executions that wait or run keep the
version that they were accepted with; then the server destroys it.`,
		Example: "  qhubctl secrets rm api_token --service my-service\n  qhubctl secrets rm api_token --service my-service --version 3",
	}
	command.Flags().IntVar(&version, "version", 0, "the number of a version; without it, all of them")
	return onSecret(streams, command, nil, func(ctx context.Context, p *client.Platform, of client.SecretOf, name string) error {
		if version < 0 {
			return usagef("--version must be a number from 1")
		}
		return p.DeleteSecret(ctx, of, name, version)
	})
}

func newSecretsOverride(streams *term.Streams) *cobra.Command {
	var callers string
	command := &cobra.Command{
		Use: "override NAME --by CALLERS", Short: "Set which callers may replace a stored secret in a request",
		Long: `Callers are none, own (members, applications and executions of the account that the
secret belongs to), or any.`,
		Example: "  qhubctl secrets override api_token --service my-service --by any",
	}
	command.Flags().StringVar(&callers, "by", "", "none, own or any")
	return onSecret(streams, command, nil, func(ctx context.Context, p *client.Platform, of client.SecretOf, name string) error {
		if !slices.Contains([]string{"none", "own", "any"}, callers) {
			return usagef("--by must be none, own or any")
		}
		return p.SetSecretOverride(ctx, of, name, strings.ToUpper(callers))
	})
}

func newSecretsBind(streams *term.Streams, bound bool) *cobra.Command {
	var service, parameter string
	command := &cobra.Command{
		Use: "bind NAME --service SERVICE", Short: "Give a parameter of a service a secret of the account", Args: takesName,
		Example: "  qhubctl secrets bind shared-token --service my-service --parameter api_token",
	}
	if !bound {
		command.Use, command.Short = "unbind NAME --service SERVICE", "Take a secret of the account from a parameter of a service"
		command.Example = strings.Replace(command.Example, " bind ", " unbind ", 1)
	}
	command.Flags().StringVar(&service, "service", "", "the name or the id of a service of the account")
	command.Flags().StringVar(&parameter, "parameter", "", "the parameter; without it, the one with the name of the secret")
	completesFlag(streams, command, "service", serviceNames)
	onPlatform(streams, command, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		if service == "" {
			return usagef("name the service: --service")
		}
		s, err := p.Service(ctx, service)
		if err != nil {
			return err
		}
		if parameter == "" {
			parameter = args[0]
		}
		return p.BindSecret(ctx, args[0], client.SecretBinding{ServiceID: s.ID, Parameter: parameter}, bound)
	})
	completes(streams, command, func(ctx context.Context, p *client.Platform) ([]string, error) {
		all, err := p.Secrets(ctx, client.SecretOf{}, "TENANT")
		names := make([]string, 0, len(all))
		for _, secret := range all {
			names = append(names, secret.Name)
		}
		return names, err
	})
	return command
}
