package cli

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

const tokensPath = "/user-service/me/access-tokens"

func newTokens(streams *term.Streams) *cobra.Command {
	return group(&cobra.Command{
		Use:   "tokens",
		Short: "Make and revoke personal access tokens",
		Long: `A personal access token lets a program act for you, such as in CI. Its value is
shown once. Its scopes limit what it may do: read, execute, write, admin.`,
		Example: `  qhubctl tokens create ci --scopes read,write --days 30 --save ci-token
  qhubctl tokens list`,
	}, newTokensList(streams), newTokensCreate(streams), newTokensRevoke(streams))
}

func newTokensList(streams *term.Streams) *cobra.Command {
	var output string
	return onPlatform(streams, &cobra.Command{
		Use: "list", Short: "List your tokens, without their values", Args: cobra.NoArgs,
		Example: "  qhubctl tokens list --output json",
	}, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		var answer struct{ AccessTokens []client.Token }
		if err := p.Call(ctx, http.MethodGet, tokensPath, nil, &answer); err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, answer.AccessTokens)
		}
		rows := make([][]string, 0, len(answer.AccessTokens))
		for _, t := range answer.AccessTokens {
			rows = append(rows, []string{t.Name, t.Prefix + "…", strings.Join(t.Scopes, ","), t.CreatedAt, orDash(t.UsedAt), orDash(t.ExpiresAt), t.ID})
		}
		return table(streams, "NAME | TOKEN | SCOPES | MADE | USED | EXPIRES | ID", rows)
	})
}

func newTokensCreate(streams *term.Streams) *cobra.Command {
	var save, output string
	var scopes []string
	var days int
	command := &cobra.Command{
		Use: "create NAME", Short: "Make a token", Args: cobra.ExactArgs(1),
		Long: `Makes a token and prints its value, or writes it to a file that only you can read
(--save). It expires after 90 days unless --days says otherwise; 0 means never.`,
		Example: "  qhubctl tokens create ci --scopes read,write --days 30 --save ci-token",
	}
	command.Flags().StringVar(&save, "save", "", "write the token to this file instead of printing it")
	command.Flags().StringSliceVar(&scopes, "scopes", nil, "what it may do: read, execute, write, admin (default: all that you may)")
	command.Flags().IntVar(&days, "days", 90, "after how many days it expires; 0 for never")
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		request := map[string]any{"name": args[0]}
		if days < 0 {
			return usagef("--days is %d; it must not be negative", days)
		}
		if days > 0 {
			request["expiresAt"] = time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly)
		}
		if len(scopes) > 0 {
			request["scopes"] = scopes
		}
		var made client.Token
		if err := p.Call(ctx, http.MethodPost, tokensPath, request, &made); err != nil {
			return err
		}
		if output == "json" && save == "" {
			return printJSON(streams, made)
		}
		return saveSecret(streams, save, made.Value+"\n")
	})
}

func newTokensRevoke(streams *term.Streams) *cobra.Command {
	return onPlatform(streams, &cobra.Command{
		Use: "revoke ID", Short: "Revoke a token at once", Args: cobra.ExactArgs(1),
		Example: "  qhubctl tokens revoke 0d9f7c5e-0d0f-4c59-9e3c-6a2f0d7d8a11",
	}, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		return p.Call(ctx, http.MethodDelete, client.Path(tokensPath+"/", args[0]), nil, nil)
	})
}
