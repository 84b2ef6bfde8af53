package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

const orgsPath = "/qc-catalog/organizations"

func newOrg(streams *term.Streams) *cobra.Command {
	return completesAll(streams, group(&cobra.Command{
		Use:   "org",
		Short: "Make organizations and manage their members",
		Long: `An organization owns services, applications and data pools of several people. Its
members have roles: VIEWER looks, MAINTAINER also deploys and runs, OWNER also
manages access keys and members. ORG is the name or the id of an organization.`,
		Example: `  qhubctl org create Team
  qhubctl org members add Team --role MAINTAINER --save invitation.txt
  qhubctl context Team`,
	}, newOrgList(streams), newOrgCreate(streams), newOrgRemove(streams), newOrgMembers(streams),
		newOrgInvitations(streams), newOrgAnswer(streams, "accept"), newOrgAnswer(streams, "decline")), "ORG", orgNames)
}

type listedOrg struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	Description string `json:"description"`
	Role        string `json:"currentUserPermission"`
}

func listOrgs(ctx context.Context, p *client.Platform) ([]listedOrg, error) {
	orgs := []listedOrg{}
	err := p.Call(ctx, http.MethodGet, orgsPath, nil, &orgs)
	return orgs, err
}

// findOrg finds an organization by its id or its name.
func findOrg(ctx context.Context, p *client.Platform, idOrName string) (string, error) {
	orgs, err := listOrgs(ctx, p)
	if err != nil {
		return "", err
	}
	for _, o := range orgs {
		if o.ID == idOrName || o.DisplayName == idOrName {
			return o.ID, nil
		}
	}
	return "", usagef("you are not a member of an organization %q; `qhubctl org list` shows yours", idOrName)
}

func newOrgList(streams *term.Streams) *cobra.Command {
	var output string
	return onPlatform(streams, &cobra.Command{
		Use: "list", Short: "List your organizations", Args: cobra.NoArgs, Example: "  qhubctl org list",
	}, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		orgs, err := listOrgs(ctx, p)
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, orgs)
		}
		rows := make([][]string, 0, len(orgs))
		for _, o := range orgs {
			rows = append(rows, []string{o.DisplayName, o.Role, o.ID})
		}
		return table(streams, "NAME | ROLE | ID", rows)
	})
}

func newOrgCreate(streams *term.Streams) *cobra.Command {
	var output, description string
	command := &cobra.Command{
		Use: "create NAME", Short: "Make an organization", Args: cobra.ExactArgs(1), Example: "  qhubctl org create Team",
	}
	command.Flags().StringVar(&description, "description", "", "what it is for")
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		var made listedOrg
		err := p.Call(ctx, http.MethodPost, orgsPath, map[string]string{"displayName": args[0], "description": description}, &made)
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, made)
		}
		return table(streams, "NAME | ROLE | ID", [][]string{{made.DisplayName, made.Role, made.ID}})
	})
}

func newOrgRemove(streams *term.Streams) *cobra.Command {
	return onPlatform(streams, &cobra.Command{
		Use: "rm ORG", Short: "Delete an organization that owns no services", Args: cobra.ExactArgs(1), Example: "  qhubctl org rm Team",
	}, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		id, err := findOrg(ctx, p, args[0])
		if err != nil {
			return err
		}
		return p.Call(ctx, http.MethodDelete, client.Path(orgsPath+"/", id), nil, nil)
	})
}

func newOrgMembers(streams *term.Streams) *cobra.Command {
	return completesAll(streams, group(&cobra.Command{
		Use: "members", Short: "List, add and remove members of an organization",
		Example: "  qhubctl org members list Team",
	}, newMembersList(streams), newMembersAdd(streams), newMembersRole(streams), newMembersRemove(streams)), "ORG", orgNames)
}

func newMembersList(streams *term.Streams) *cobra.Command {
	var output string
	return onPlatform(streams, &cobra.Command{
		Use: "list ORG", Short: "List the members of an organization", Args: cobra.ExactArgs(1), Example: "  qhubctl org members list Team",
	}, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		id, err := findOrg(ctx, p, args[0])
		if err != nil {
			return err
		}
		members := []client.Member{}
		if err := p.Call(ctx, http.MethodGet, client.Path(orgsPath+"/", id, "/members"), nil, &members); err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, members)
		}
		rows := make([][]string, 0, len(members))
		for _, m := range members {
			state := "member"
			if m.Pending {
				state = "invited"
			}
			rows = append(rows, []string{m.DisplayName, m.Role, state, m.ID})
		}
		return table(streams, "NAME | ROLE | STATE | ID", rows)
	})
}

func newMembersAdd(streams *term.Streams) *cobra.Command {
	var output, role, save string
	command := &cobra.Command{
		Use: "add ORG [USER-ID]", Short: "Invite a person", Args: cobra.RangeArgs(1, 2),
		Long: `Invites a person to an organization. A user of the platform, by its id, accepts
with ` + "`qhubctl org accept`" + `. Without USER-ID it makes a token that works once and
for a week: hand it over, and the person logs in with
` + "`qhubctl login URL --invitation @FILE --user NAME`" + `.`,
		Example: `  qhubctl org members add Team --role MAINTAINER --save invitation.txt
  qhubctl org members add Team 3f1d6d0e-7b4b-4d31-8f65-0b6d7c9a1e55`,
	}
	command.Flags().StringVar(&role, "role", "VIEWER", "VIEWER, MAINTAINER or OWNER")
	command.Flags().StringVar(&save, "save", "", "write the token to this file instead of printing it")
	return onPlatform(streams, command, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		id, err := findOrg(ctx, p, args[0])
		if err != nil {
			return err
		}
		request := map[string]string{"role": strings.ToUpper(role)}
		if len(args) > 1 {
			request["user"] = args[1]
		}
		var made client.Invitation
		if err := p.Call(ctx, http.MethodPost, client.Path(orgsPath+"/", id, "/invitations"), request, &made); err != nil {
			return err
		}
		switch {
		case output == "json" && save == "":
			return printJSON(streams, made)
		case made.Token == "":
			streams.Say("invited; the user accepts with: qhubctl org accept %s", made.ID)
			return nil
		default:
			return saveSecret(streams, save, made.Token+"\n")
		}
	})
}

func newMembersRole(streams *term.Streams) *cobra.Command {
	return onPlatform(streams, &cobra.Command{
		Use: "role ORG USER-ID ROLE", Short: "Change the role of a member", Args: cobra.ExactArgs(3),
		Example: "  qhubctl org members role Team 3f1d6d0e-7b4b-4d31-8f65-0b6d7c9a1e55 OWNER",
	}, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		id, err := findOrg(ctx, p, args[0])
		if err != nil {
			return err
		}
		return p.Call(ctx, http.MethodPut, client.Path(orgsPath+"/", id, "/members/", args[1]),
			map[string]string{"accessPermissionRole": strings.ToUpper(args[2])}, nil)
	})
}

func newMembersRemove(streams *term.Streams) *cobra.Command {
	return onPlatform(streams, &cobra.Command{
		Use: "remove ORG USER-ID", Short: "Remove a member, or leave", Args: cobra.ExactArgs(2),
		Example: "  qhubctl org members remove Team 3f1d6d0e-7b4b-4d31-8f65-0b6d7c9a1e55",
	}, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		id, err := findOrg(ctx, p, args[0])
		if err != nil {
			return err
		}
		return p.Call(ctx, http.MethodDelete, client.Path(orgsPath+"/", id, "/members/", args[1]), nil, nil)
	})
}

func newOrgInvitations(streams *term.Streams) *cobra.Command {
	var output string
	return onPlatform(streams, &cobra.Command{
		Use: "invitations", Short: "List the invitations to you", Args: cobra.NoArgs, Example: "  qhubctl org invitations",
	}, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		all := []client.Invitation{}
		if err := p.Call(ctx, http.MethodGet, "/qc-catalog/my/invitations", nil, &all); err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, all)
		}
		rows := make([][]string, 0, len(all))
		for _, i := range all {
			rows = append(rows, []string{i.EntityName, i.Role, i.Inviter, i.Status, i.ID})
		}
		return table(streams, "ORGANIZATION | ROLE | FROM | STATUS | ID", rows)
	})
}

func newOrgAnswer(streams *term.Streams, word string) *cobra.Command {
	return onPlatform(streams, &cobra.Command{
		Use: word + " INVITATION-ID", Short: strings.ToUpper(word[:1]) + word[1:] + " an invitation", Args: cobra.ExactArgs(1),
		Example: "  qhubctl org " + word + " 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c",
	}, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		return p.Call(ctx, http.MethodPost, client.Path("/qc-catalog/my/invitations/", args[0], "/"+word), nil, nil)
	})
}
