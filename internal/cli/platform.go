package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/login"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/term"
)

const (
	defaultServer        = "http://127.0.0.1:8700"
	serverVariable       = "QHUBCTL_SERVER"
	organizationVariable = "QHUBCTL_ORGANIZATION"
	// publishedOrganization is what the published clients call organizationVariable.
	publishedOrganization = "KQH_ORGANIZATION_ID"
)

// notLoggedInError says that a command needs a login.
type notLoggedInError struct{}

func (notLoggedInError) Error() string { return "not logged in to a platform" }
func (notLoggedInError) Hint() string {
	return "run: qhubctl login URL --token @FILE; in CI, set " + serverVariable + " and " + tokenVariable
}

// currentLogin is the login of this user, or the one that the environment names.
func currentLogin() (login.Login, error) {
	l, err := login.Load()
	token := strings.TrimSpace(os.Getenv(tokenVariable))
	server := os.Getenv(serverVariable)
	switch {
	case token != "" && server != "":
		l, err = login.Login{Server: strings.TrimRight(server, "/"), Token: token}, nil
	case errors.Is(err, login.ErrNone):
		return l, notLoggedInError{}
	case server != "" && strings.TrimRight(server, "/") != l.Server:
		return l, usagef("%s names another server than the login, and %s is not set", serverVariable, tokenVariable)
	}
	for _, name := range []string{publishedOrganization, organizationVariable} { // ours comes last, and wins
		if id := os.Getenv(name); id != "" {
			l.Context = login.Context{ID: id, IsOrganization: true}
		}
	}
	return l, err
}

// openPlatform is a client for the platform of a login.
func openPlatform(streams *term.Streams, l login.Login) (*client.Platform, error) {
	organization := ""
	if l.Context.IsOrganization {
		organization = l.Context.ID
	}
	p, err := client.NewPlatform(l.Server, plaintext.FromString(l.Token), organization)
	if err != nil {
		return nil, &usageError{err}
	}
	if p.Exposed() {
		streams.Warn("the token goes to %s unencrypted; use https", l.Server)
	}
	return p, nil
}

// A platformCommand runs with a login.
type platformCommand func(ctx context.Context, p *client.Platform, args []string) error

// onPlatform has a command run with a client for the platform that its user is logged
// in to. It adds --output if output is not nil.
func onPlatform(streams *term.Streams, command *cobra.Command, output *string, run platformCommand) *cobra.Command {
	if output != nil {
		outputFlag(command, output)
	}
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if output != nil {
			if err := checkOutput(*output); err != nil {
				return err
			}
		}
		return onLogin(cmd.Context(), streams, func(ctx context.Context, _ *term.Streams, p *client.Platform) error {
			return run(ctx, p, args)
		})
	}
	return command
}

// onLogin runs a part of a command on the platform of the current login.
func onLogin(ctx context.Context, streams *term.Streams, run func(context.Context, *term.Streams, *client.Platform) error) error {
	l, err := currentLogin()
	if err != nil {
		return err
	}
	p, err := openPlatform(streams, l)
	if err != nil {
		return err
	}
	defer p.Close()
	return loginHint(run(ctx, streams, p))
}

// loginHint says what to do about a token that is not valid.
func loginHint(err error) error {
	if client.Refused(err, 401) {
		return &expiredLoginError{err}
	}
	return err
}

type expiredLoginError struct{ err error }

func (e *expiredLoginError) Error() string {
	return "the platform does not accept the token: it has expired, or was revoked"
}
func (e *expiredLoginError) Unwrap() error { return e.err }
func (e *expiredLoginError) Hint() string  { return "log in again: qhubctl login URL --token @FILE" }

// group is a command of commands.
func group(command *cobra.Command, children ...*cobra.Command) *cobra.Command {
	command.Args = cobra.NoArgs
	command.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	command.AddCommand(children...)
	for _, child := range children {
		if !child.HasSubCommands() {
			wrapArgs(child)
		}
	}
	return command
}

// completesAll has the first argument of each command of a group completed that takes
// a name of a kind, such as APP.
func completesAll(streams *term.Streams, command *cobra.Command, kind string, names func(context.Context, *client.Platform) ([]string, error)) *cobra.Command {
	for _, child := range command.Commands() {
		if _, takes, _ := strings.Cut(child.Use, " "); strings.HasPrefix(takes, kind) {
			completes(streams, child, names)
		}
	}
	return command
}

// table prints rows under a heading. Texts of others are made fit for a terminal.
func table(streams *term.Streams, heading string, rows [][]string) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, strings.ReplaceAll(heading, " | ", "\t"))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = strings.ReplaceAll(visible(cell), "\t", " ")
		}
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // into a strings.Builder
	return writeAll(streams.Out, []byte(b.String()))
}

// orDash is a text that may be missing.
func orDash(text *string) string {
	if text == nil || *text == "" {
		return "-"
	}
	return *text
}

// readSecretArg reads a secret from @FILE, from standard input for -, or without an
// argument from whoever sits at the terminal, else from standard input. It never
// takes the value itself from the command line.
func readSecretArg(ctx context.Context, streams *term.Streams, flag, argument, what string) (plaintext.Bytes, error) {
	if path, ok := strings.CutPrefix(argument, "@"); ok && path != "" {
		return (&remote{token: "@" + path}).readToken()
	}
	if argument != "" && argument != "-" {
		return plaintext.Bytes{}, usagef("%s takes @FILE or - (standard input), not the %s itself, which every user of this machine could read", flag, what)
	}
	if argument == "" && streams.Interactive {
		return streams.AskSecret(ctx, what)
	}
	text, err := io.ReadAll(io.LimitReader(streams.In, maxToken))
	if err != nil {
		return plaintext.Bytes{}, fmt.Errorf("cannot read the %s: %w", what, err)
	}
	value := plaintext.FromString(strings.TrimSpace(string(text)))
	clear(text)
	if value.Len() == 0 {
		return plaintext.Bytes{}, usagef("there is no %s: give %s @FILE, or write it to standard input", what, flag)
	}
	return value, nil
}

// saveSecret writes a secret to a private file, or prints it where no file is named.
func saveSecret(streams *term.Streams, file, text string) error {
	if file == "" {
		return writeAll(streams.Out, []byte(text))
	}
	if err := login.WritePrivate(file, []byte(text)); err != nil {
		return fmt.Errorf("cannot write the secret: %w", err)
	}
	streams.Say("written to %s, which its owner only can read", file)
	return nil
}

// completionPatience is how long a completion waits for the server.
const completionPatience = 2 * time.Second

// completes has the first argument of a command completed with names from the server.
// Without a login or an answer there are none.
func completes(streams *term.Streams, command *cobra.Command, names func(context.Context, *client.Platform) ([]string, error)) *cobra.Command {
	command.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		l, err := currentLogin()
		if len(args) > 0 || err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		p, err := openPlatform(streams, l)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer p.Close()
		ctx, stop := context.WithTimeout(cmd.Context(), completionPatience)
		defer stop()
		all, _ := names(ctx, p) // a completion has nowhere to report an error
		fitting := []string{}
		for _, name := range all {
			if strings.HasPrefix(name, begun) && name == visible(name) {
				fitting = append(fitting, name)
			}
		}
		return fitting, cobra.ShellCompDirectiveNoFileComp
	}
	return command
}

func appNames(ctx context.Context, p *client.Platform) ([]string, error) {
	var apps []client.Application
	err := p.Call(ctx, http.MethodGet, appsPath, nil, &apps)
	names := make([]string, 0, len(apps))
	for _, app := range apps {
		names = append(names, app.Name)
	}
	return names, err
}

func accountNames(ctx context.Context, p *client.Platform) ([]string, error) {
	accounts, err := p.Accounts(ctx)
	names := make([]string, 0, len(accounts))
	for _, account := range accounts {
		names = append(names, account.DisplayName)
	}
	return names, err
}

func orgNames(ctx context.Context, p *client.Platform) ([]string, error) {
	orgs, err := listOrgs(ctx, p)
	names := make([]string, 0, len(orgs))
	for _, o := range orgs {
		names = append(names, o.DisplayName)
	}
	return names, err
}
