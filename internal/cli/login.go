package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/login"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/term"
)

type loginOptions struct {
	server, token, invitation string
	user, name                string
	forPublished              bool
}

func newLogin(streams *term.Streams) *cobra.Command {
	var o loginOptions
	command := &cobra.Command{
		Use:   "login [URL]",
		Short: "Log in to a platform",
		Long: `Checks a personal access token with the platform at URL, and keeps it in a file
that only you can read. The token comes from a file (--token @FILE), from standard
input, or you type it at a prompt. It never comes from the command line itself.

With an invitation, it makes your user and a token that lives for 90 days.

--for-published also writes the file that the published clients read, and prints
the line that leads them to it.

In CI, no login is needed: set ` + serverVariable + ` and ` + tokenVariable + `.`,
		Example: `  qhubctl login http://127.0.0.1:8700 --token @data/owner-token
  qhubctl login https://hub.example.com
  qhubctl login https://hub.example.com --invitation @invitation.txt --user ada
  eval "$(qhubctl login --token @token.txt --for-published)"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.server = os.Getenv(serverVariable)
			if len(args) > 0 {
				o.server = args[0]
			}
			if o.server == "" {
				o.server = defaultServer
			}
			o.server = strings.TrimRight(o.server, "/")
			return loginRun(cmd.Context(), streams, o)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.token, "token", "", "the file with the token, as @FILE; - for standard input")
	flags.StringVar(&o.invitation, "invitation", "", "the file with the token of an invitation, as @FILE; - for standard input")
	flags.StringVar(&o.user, "user", "", "the name of the user to make, with --invitation")
	flags.StringVar(&o.name, "name", "", "the full name of that user")
	flags.BoolVar(&o.forPublished, "for-published", false, "also write the file that the published clients read")
	command.MarkFlagsMutuallyExclusive("token", "invitation")
	return command
}

func loginRun(ctx context.Context, streams *term.Streams, o loginOptions) error {
	if (o.invitation == "") != (o.user == "") {
		return usagef("--invitation and --user go together")
	}
	token, err := o.readToken(ctx, streams)
	if err != nil {
		return err
	}
	defer token.Clear()
	l := login.Login{Server: o.server, Token: string(token.Reveal())}
	p, err := openPlatform(streams, l)
	if err != nil {
		return err
	}
	defer p.Close()
	who, err := p.Identify(ctx)
	if client.Refused(err, http.StatusUnauthorized) {
		return errors.New("the platform does not accept this token; the former login is unchanged")
	}
	if err != nil {
		return err
	}
	accounts, err := p.Accounts(ctx)
	if err != nil || len(accounts) == 0 {
		return errors.Join(err, errorIf(err == nil, "the platform names no account for this token"))
	}
	l.TokenID, l.User, l.UserName, l.Context = who.AccessToken.ID, who.User.ID, who.User.Username, login.Context(accounts[0])
	if o.forPublished {
		if l.Published, err = login.PublishedPath(); err != nil {
			return err
		}
	}
	if err := login.Save(l); err != nil {
		return err
	}
	streams.Say("logged in to %s as %s", l.Server, visible(l.UserName))
	if l.Published == "" {
		return nil
	}
	return writeAll(streams.Out, []byte("export KQH_CONFIG_FILE_PATH="+shellQuoted(l.Published)+"\n"))
}

func errorIf(condition bool, text string) error {
	if condition {
		return errors.New(text)
	}
	return nil
}

// shellQuoted is a text as one word of a shell.
func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// readToken reads the token, or gets one for an invitation.
func (o loginOptions) readToken(ctx context.Context, streams *term.Streams) (plaintext.Bytes, error) {
	if o.invitation == "" {
		return readSecretArg(ctx, streams, "--token", o.token, "token")
	}
	invitation, err := readSecretArg(ctx, streams, "--invitation", o.invitation, "invitation")
	if err != nil {
		return plaintext.Bytes{}, err
	}
	defer invitation.Clear()
	p, err := client.NewPlatform(o.server, plaintext.Bytes{}, "")
	if err != nil {
		return plaintext.Bytes{}, &usageError{err}
	}
	defer p.Close()
	var made struct{ AccessToken client.Token }
	err = p.Call(ctx, http.MethodPost, "/qc-catalog/invitations/redeem", map[string]string{
		"token": string(invitation.Reveal()), "username": o.user, "displayName": o.name,
	}, &made)
	if client.Refused(err, http.StatusNotFound) {
		return plaintext.Bytes{}, errors.New("the invitation is not valid: it was used, withdrawn, or has expired")
	}
	return plaintext.FromString(made.AccessToken.Value), err
}

func newLogout(streams *term.Streams) *cobra.Command {
	var keepToken bool
	command := &cobra.Command{
		Use:   "logout",
		Short: "Revoke the token of the login, and forget it",
		Long: `Revokes the token on the platform, and deletes the files that hold it. With
--keep-token it only deletes the files, such as when the platform is gone.`,
		Example: "  qhubctl logout",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := login.Load()
			if errors.Is(err, login.ErrNone) {
				return notLoggedInError{}
			}
			if err != nil {
				return err
			}
			if !keepToken {
				if err := revoke(cmd.Context(), streams, l); err != nil {
					return fmt.Errorf("cannot revoke the token, so the login stays: %w", err)
				}
			}
			if err := login.Forget(l); err != nil {
				return fmt.Errorf("cannot delete the login: %w", err)
			}
			streams.Say("logged out of %s", l.Server)
			return nil
		},
	}
	command.Flags().BoolVar(&keepToken, "keep-token", false, "do not revoke the token")
	return command
}

// revoke revokes the token of a login. One that is not valid any more is revoked.
func revoke(ctx context.Context, streams *term.Streams, l login.Login) error {
	l.Context = login.Context{}
	p, err := openPlatform(streams, l)
	if err != nil {
		return err
	}
	defer p.Close()
	err = p.Call(ctx, http.MethodDelete, client.Path("/user-service/me/access-tokens/", l.TokenID), nil, nil)
	if client.Refused(err, http.StatusUnauthorized) {
		return nil
	}
	return err
}

func newContext(streams *term.Streams) *cobra.Command {
	var output string
	return completes(streams, onPlatform(streams, &cobra.Command{
		Use:   "context [ACCOUNT]",
		Short: "Show the accounts, or choose the one to act for",
		Long: `Without an argument it lists the accounts that you can act for: your own, and
your organizations. A star marks the current one. With the id or the name of an
account it chooses that one, for all commands that follow.

` + organizationVariable + ` (or ` + publishedOrganization + `) with the id of an organization comes first.`,
		Example: `  qhubctl context
  qhubctl context Team`,
		Args: cobra.MaximumNArgs(1),
	}, &output, func(ctx context.Context, _ *client.Platform, args []string) error {
		l, err := currentLogin()
		if err != nil {
			return err
		}
		l.Context.IsOrganization = false
		own, err := openPlatform(streams, l) // the current context may be gone
		if err != nil {
			return err
		}
		defer own.Close()
		accounts, err := own.Accounts(ctx)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return showAccounts(streams, output, accounts, l.Context.ID)
		}
		return chooseAccount(streams, accounts, args[0])
	}), accountNames)
}

func showAccounts(streams *term.Streams, output string, accounts []client.Account, current string) error {
	if output == "json" {
		return printJSON(streams, accounts)
	}
	rows := make([][]string, 0, len(accounts))
	for _, a := range accounts {
		mark, kind := "", "personal"
		if a.IsOrganization {
			kind = "organization"
		}
		if a.ID == current {
			mark = "*"
		}
		rows = append(rows, []string{mark, a.DisplayName, kind, a.Role, a.ID})
	}
	return table(streams, " | NAME | KIND | ROLE | ID", rows)
}

func chooseAccount(streams *term.Streams, accounts []client.Account, idOrName string) error {
	var found []client.Account
	for _, a := range accounts {
		if a.ID == idOrName || a.DisplayName == idOrName {
			found = append(found, a)
		}
	}
	if len(found) != 1 {
		return usagef("%d accounts are called %q; `qhubctl context` shows their ids", len(found), idOrName)
	}
	l, err := login.Load()
	if errors.Is(err, login.ErrNone) {
		return usagef("without a login there is no context to change: set %s", organizationVariable)
	}
	if err != nil {
		return err
	}
	l.Context = login.Context(found[0])
	if err := login.Save(l); err != nil {
		return err
	}
	streams.Say("commands act for %s", visible(found[0].DisplayName))
	return nil
}
