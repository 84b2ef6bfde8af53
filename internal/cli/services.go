package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

func newServices(streams *term.Streams) *cobra.Command {
	return group(&cobra.Command{
		Use:     "services",
		Aliases: []string{"service"},
		Short:   "Look after the services that were deployed",
		Long: `A service has versions, and each version has revisions: one for each build. One
revision of a version is active. SERVICE is the name or the id of a service.`,
		Example: `  qhubctl services list
  qhubctl services revisions my-service
  qhubctl services rollback my-service
  qhubctl services publish my-service`,
	}, newServicesList(streams), newServicesVersions(streams), newServicesRevisions(streams), newServicesLog(streams),
		newServicesActivate(streams), newServicesRollback(streams), newServicesPublish(streams), newServicesUnpublish(streams),
		newServicesRemove(streams))
}

func newServicesList(streams *term.Streams) *cobra.Command {
	var output string
	return onPlatform(streams, &cobra.Command{
		Use: "list", Short: "List the services of the account", Args: cobra.NoArgs, Example: "  qhubctl services list",
	}, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		services, err := p.Services(ctx)
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, services)
		}
		rows := make([][]string, 0, len(services))
		for _, s := range services {
			rows = append(rows, []string{s.Name, s.Lifecycle, s.CreatedAt, s.ID})
		}
		return table(streams, "NAME | LIFECYCLE | MADE | ID", rows)
	})
}

// onService is onPlatform for a command whose first argument is a service.
func onService(streams *term.Streams, command *cobra.Command, output *string, run func(ctx context.Context, p *client.Platform, s client.Service, args []string) error) *cobra.Command {
	command = onPlatform(streams, command, output, func(ctx context.Context, p *client.Platform, args []string) error {
		s, err := p.Service(ctx, args[0])
		if err != nil {
			return err
		}
		return run(ctx, p, s, args[1:])
	})
	command.ValidArgsFunction = completeServices(streams)
	return command
}

// completeServices completes the names of services from the platform.
func completeServices(streams *term.Streams) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		l, err := currentLogin()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		p, err := openPlatform(streams, l)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer p.Close()
		services, err := p.Services(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := make([]string, len(services))
		for i, s := range services {
			names[i] = s.Name
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func newServicesVersions(streams *term.Streams) *cobra.Command {
	var output string
	return onService(streams, &cobra.Command{
		Use: "versions SERVICE", Aliases: []string{"show"}, Short: "Show the versions of a service, and where each is called", Args: cobra.ExactArgs(1),
		Example: "  qhubctl services versions my-service",
	}, &output, func(ctx context.Context, p *client.Platform, s client.Service, _ []string) error {
		versions, err := p.Versions(ctx, s.ID)
		if err != nil {
			return err
		}
		activeFirst(versions)
		if output == "json" {
			return printJSON(streams, versions)
		}
		rows := make([][]string, 0, len(versions))
		for _, v := range versions {
			rows = append(rows, []string{v.Version, orDash(&v.ActiveRevision), v.CreatedAt, v.GatewayEndpoint})
		}
		return table(streams, "VERSION | ACTIVE REVISION | MADE | ENDPOINT", rows)
	})
}

func newServicesRevisions(streams *term.Streams) *cobra.Command {
	var output, version string
	command := onService(streams, &cobra.Command{
		Use: "revisions SERVICE", Short: "List the revisions of a version", Args: cobra.ExactArgs(1),
		Example: "  qhubctl services revisions my-service --version 1.0.0",
	}, &output, func(ctx context.Context, p *client.Platform, s client.Service, _ []string) error {
		revisions, err := p.Revisions(ctx, s.ID, version)
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, revisions)
		}
		rows := make([][]string, 0, len(revisions))
		for _, r := range revisions {
			active := ""
			if r.Active {
				active = "active"
			}
			rows = append(rows, []string{strconv.Itoa(r.Number), r.Status, active, r.CreatedAt, r.ID})
		}
		return table(streams, "NUMBER | BUILD |  | MADE | ID", rows)
	})
	versionFlag(command, &version)
	return command
}

func versionFlag(command *cobra.Command, version *string) {
	command.Flags().StringVar(version, "version", "", "the version (default: the latest one)")
}

// findRevision finds a revision by its number or id; the newest without one.
func findRevision(ctx context.Context, p *client.Platform, s client.Service, version, wanted string) (client.Revision, error) {
	revisions, err := p.Revisions(ctx, s.ID, version)
	if err != nil {
		return client.Revision{}, err
	}
	for _, r := range revisions {
		if wanted == "" || r.ID == wanted || strconv.Itoa(r.Number) == wanted {
			return r, nil
		}
	}
	if wanted == "" {
		return client.Revision{}, fmt.Errorf("the service %s was not built yet", s.Name)
	}
	return client.Revision{}, fmt.Errorf("the service %s has no revision %q", s.Name, wanted)
}

func newServicesLog(streams *term.Streams) *cobra.Command {
	var output, version string
	command := onService(streams, &cobra.Command{
		Use: "log SERVICE [REVISION]", Short: "Show the log of a build, the newest one by default", Args: cobra.RangeArgs(1, 2),
		Long: `Shows the log of the build that made a revision of a service: by its number or id, or of
the newest revision.`,
		Example: "  qhubctl services log my-service\n  qhubctl services log my-service 3",
	}, &output, func(ctx context.Context, p *client.Platform, s client.Service, args []string) error {
		wanted := ""
		if len(args) > 0 {
			wanted = args[0]
		}
		r, err := findRevision(ctx, p, s, version, wanted)
		if err != nil {
			return err
		}
		if output == "json" {
			lines, err := p.BuildLog(ctx, s.ID, r.ID)
			if err != nil {
				return err
			}
			return printJSON(streams, lines)
		}
		built, err := p.WatchBuild(ctx, s.ID, r.ID, func(l client.BuildLine) error {
			return writeAll(streams.Out, []byte(l.Severity+" "+visible(l.Message)+"\n"))
		})
		if err == nil && !built.Succeeded() {
			return &exitError{exitFailed, errors.New("the build has failed")}
		}
		return err
	})
	versionFlag(command, &version)
	return command
}

func newServicesActivate(streams *term.Streams) *cobra.Command {
	var version string
	command := onService(streams, &cobra.Command{
		Use: "activate SERVICE REVISION", Short: "Have new requests meet a revision, by its number or id", Args: cobra.ExactArgs(2),
		Example: "  qhubctl services activate my-service 3",
	}, nil, func(ctx context.Context, p *client.Platform, s client.Service, args []string) error {
		r, err := findRevision(ctx, p, s, version, args[0])
		if err != nil {
			return err
		}
		return activate(ctx, streams, p, s, r)
	})
	versionFlag(command, &version)
	return command
}

func newServicesRollback(streams *term.Streams) *cobra.Command {
	var version string
	command := onService(streams, &cobra.Command{
		Use: "rollback SERVICE", Short: "Activate the revision before the active one", Args: cobra.ExactArgs(1),
		Example: "  qhubctl services rollback my-service",
	}, nil, func(ctx context.Context, p *client.Platform, s client.Service, _ []string) error {
		revisions, err := p.Revisions(ctx, s.ID, version)
		if err != nil {
			return err
		}
		before, ok := revisionBefore(revisions)
		if !ok {
			return &exitError{exitFailed, fmt.Errorf("the service %s has no earlier revision that was built", s.Name)}
		}
		return activate(ctx, streams, p, s, before)
	})
	versionFlag(command, &version)
	return command
}

func activate(ctx context.Context, streams *term.Streams, p *client.Platform, s client.Service, r client.Revision) error {
	if _, err := p.Activate(ctx, s.ID, r.ID); err != nil {
		return err
	}
	streams.Say("revision %d of %s is active", r.Number, s.Name)
	return nil
}

// revisionBefore is the newest good revision that is older than the active one.
func revisionBefore(revisions []client.Revision) (client.Revision, bool) {
	passed := false
	for _, r := range revisions { // the newest first
		if passed && r.Succeeded() {
			return r, true
		}
		passed = passed || r.Active
	}
	return client.Revision{}, false
}

func newServicesPublish(streams *term.Streams) *cobra.Command {
	public := false
	command := onService(streams, &cobra.Command{
		Use: "publish SERVICE", Short: "Let applications of this account subscribe to a service", Args: cobra.ExactArgs(1),
		Example: "  qhubctl services publish my-service\n  qhubctl services publish my-service --public",
	}, nil, func(ctx context.Context, p *client.Platform, s client.Service, _ []string) error {
		scope := "INTERNAL"
		if public {
			scope = "PUBLIC"
		}
		return p.Publish(ctx, s.ID, scope)
	})
	command.Flags().BoolVar(&public, "public", false, "let applications of all accounts subscribe")
	return command
}

func newServicesUnpublish(streams *term.Streams) *cobra.Command {
	force := false
	command := onService(streams, &cobra.Command{
		Use: "unpublish SERVICE", Short: "Let no more applications subscribe to a service", Args: cobra.ExactArgs(1),
		Example: "  qhubctl services unpublish my-service",
	}, nil, func(ctx context.Context, p *client.Platform, s client.Service, _ []string) error {
		return p.Unpublish(ctx, s.ID, force)
	})
	command.Flags().BoolVar(&force, "force", false, "end the subscriptions that there are")
	return command
}

func newServicesRemove(streams *term.Streams) *cobra.Command {
	return onService(streams, &cobra.Command{
		Use: "rm SERVICE", Short: "Delete a service with all its versions and subscriptions", Args: cobra.ExactArgs(1),
		Example: "  qhubctl services rm my-service",
	}, nil, func(ctx context.Context, p *client.Platform, s client.Service, _ []string) error {
		return p.DeleteService(ctx, s.ID)
	})
}
