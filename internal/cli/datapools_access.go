package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

func showPoolShares(streams *term.Streams, output string, shares []client.DataPoolShare) error {
	if output == "json" {
		return printJSON(streams, shares)
	}
	rows := make([][]string, 0, len(shares))
	for _, s := range shares {
		state := "active"
		if !s.Active {
			state = "not active"
		}
		rows = append(rows, []string{s.SharedWith.Value, s.SharedWith.Type, s.Role, state, s.CreatedAt, s.ID})
	}
	return table(streams, "ACCOUNT | KIND | ROLE | STATE | MADE | ID", rows)
}

func newPoolsShare(streams *term.Streams) *cobra.Command {
	var output, role, from, until string
	var user bool
	command := &cobra.Command{
		Use: "share POOL ACCOUNT-ID", Short: "Give another account a role in a data pool", Args: cobra.ExactArgs(2),
		Long: `Gives another organization, or another user, a role in a data pool: VIEWER reads
files, MAINTAINER also changes them. Sharing again changes the role.`,
		Example: "  qhubctl datapools share models 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c --role VIEWER --until 2030-12-31",
	}
	command.Flags().StringVar(&role, "role", "VIEWER", "VIEWER, MAINTAINER or OWNER")
	command.Flags().BoolVar(&user, "user", false, "the account is a user, not an organization")
	command.Flags().StringVar(&from, "from", "", "when the share begins to count, such as 2030-12-31")
	command.Flags().StringVar(&until, "until", "", "when it ends")
	return onPool(streams, command, &output, func(ctx context.Context, p *client.Platform, pool client.DataPool, args []string) error {
		kind := "ORGANIZATION"
		if user {
			kind = "USER"
		}
		body := map[string]any{"sharedWith": map[string]string{"tenantType": kind, "value": args[0]}, "role": role}
		for name, value := range map[string]string{"validFrom": from, "validUntil": until} {
			if value != "" {
				body[name] = value
			}
		}
		var share client.DataPoolShare
		if err := p.Call(ctx, http.MethodPost, client.Path(poolsPath+"/", pool.ID, "/shares"), body, &share); err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, share)
		}
		return showPoolShares(streams, output, []client.DataPoolShare{share})
	})
}

func newPoolsShares(streams *term.Streams) *cobra.Command {
	var output string
	return onPool(streams, &cobra.Command{
		Use: "shares POOL", Short: "List the shares of a data pool", Args: cobra.ExactArgs(1), Example: "  qhubctl datapools shares models",
	}, &output, func(ctx context.Context, p *client.Platform, pool client.DataPool, _ []string) error {
		shares := []client.DataPoolShare{}
		if err := p.Call(ctx, http.MethodGet, client.Path(poolsPath+"/", pool.ID, "/shares"), nil, &shares); err != nil {
			return err
		}
		return showPoolShares(streams, output, shares)
	})
}

func newPoolsUnshare(streams *term.Streams) *cobra.Command {
	return onPool(streams, &cobra.Command{
		Use: "unshare POOL SHARE-ID", Short: "End a share of a data pool", Args: cobra.ExactArgs(2),
		Example: "  qhubctl datapools unshare models 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c",
	}, nil, func(ctx context.Context, p *client.Platform, pool client.DataPool, args []string) error {
		return p.Call(ctx, http.MethodDelete, client.Path(poolsPath+"/", pool.ID, "/shares/", args[0]), nil, nil)
	})
}

func newPoolsGrant(streams *term.Streams) *cobra.Command {
	var output, permission, save string
	command := &cobra.Command{
		Use: "grant POOL APP", Short: "Let an application use a data pool for some minutes", Args: cobra.ExactArgs(2),
		Long: `Prints a grant, or writes it to a file that only you can read (--save). The
application sends it in its request, as the member "grant" of the reference to the
data pool. It counts for this data pool and this application only.`,
		Example: "  qhubctl datapools grant models shop --permission VIEW",
	}
	command.Flags().StringVar(&permission, "permission", "VIEW", "VIEW, MODIFY or GRANT")
	command.Flags().StringVar(&save, "save", "", "write the grant to this file instead of printing it")
	return onPool(streams, command, &output, func(ctx context.Context, p *client.Platform, pool client.DataPool, args []string) error {
		app, err := p.Application(ctx, args[0])
		if err != nil {
			return err
		}
		var grant struct {
			Token     string `json:"token"`
			ExpiresAt string `json:"expiresAt"`
		}
		body := map[string]string{"applicationId": app.ID, "permission": permission}
		if err := p.Call(ctx, http.MethodPost, client.Path(poolsPath+"/", pool.ID, "/grants"), body, &grant); err != nil {
			return err
		}
		if output == "json" && save == "" {
			return printJSON(streams, map[string]any{
				"id": pool.ID, "ref": "DATAPOOL", "grant": grant.Token, "expiresAt": grant.ExpiresAt,
			})
		}
		streams.Say("the grant counts until %s UTC", grant.ExpiresAt)
		return saveSecret(streams, save, grant.Token+"\n")
	})
}
