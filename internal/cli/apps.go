package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/term"
)

const appsPath = "/qc-catalog/applications"

func newApps(streams *term.Streams) *cobra.Command {
	return completesAll(streams, group(&cobra.Command{
		Use:     "apps",
		Aliases: []string{"app"},
		Short:   "Make applications and subscribe them to services",
		Long: `An application is a program that calls services. It has access keys (see
` + "`qhubctl access-keys`" + `), and calls the services that it is subscribed to.
APP is the name or the id of an application.`,
		Example: `  qhubctl apps create shop
  qhubctl apps subscribe shop my-service
  qhubctl access-keys list shop`,
	}, newAppsList(streams), newAppsCreate(streams), newAppsRemove(streams),
		newAppsSubscriptions(streams), newAppsSubscribe(streams), newAppsUnsubscribe(streams)), "APP", appNames)
}

func newAppsList(streams *term.Streams) *cobra.Command {
	var output string
	return onPlatform(streams, &cobra.Command{
		Use: "list", Short: "List the applications of the account", Args: cobra.NoArgs, Example: "  qhubctl apps list",
	}, &output, func(ctx context.Context, p *client.Platform, _ []string) error {
		apps := []client.Application{}
		if err := p.Call(ctx, http.MethodGet, appsPath, nil, &apps); err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, apps)
		}
		rows := make([][]string, 0, len(apps))
		for _, app := range apps {
			rows = append(rows, []string{app.Name, app.CreatedAt, app.ID})
		}
		return table(streams, "NAME | MADE | ID", rows)
	})
}

func newAppsCreate(streams *term.Streams) *cobra.Command {
	var output string
	return onPlatform(streams, &cobra.Command{
		Use: "create NAME", Short: "Make an application with one access key", Args: cobra.ExactArgs(1),
		Example: "  qhubctl apps create shop",
	}, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		var app client.Application
		if err := p.Call(ctx, http.MethodPost, appsPath, map[string]string{"name": args[0]}, &app); err != nil {
			return err
		}
		if output == "json" {
			return printJSON(streams, app)
		}
		return table(streams, "NAME | MADE | ID", [][]string{{app.Name, app.CreatedAt, app.ID}})
	})
}

func newAppsRemove(streams *term.Streams) *cobra.Command {
	return onPlatform(streams, &cobra.Command{
		Use: "rm APP", Short: "Delete an application, its access keys and its subscriptions", Args: cobra.ExactArgs(1),
		Example: "  qhubctl apps rm shop",
	}, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		app, err := p.Application(ctx, args[0])
		if err != nil {
			return err
		}
		return p.Call(ctx, http.MethodDelete, client.Path(appsPath+"/", app.ID), nil, nil)
	})
}

func showSubscriptions(streams *term.Streams, output string, all []client.Subscription) error {
	if output == "json" {
		return printJSON(streams, all)
	}
	rows := make([][]string, 0, len(all))
	for _, s := range all {
		rows = append(rows, []string{s.Application.Name, s.Service.Name, s.Service.GatewayEndpoint, s.ID})
	}
	return table(streams, "APPLICATION | SERVICE | ENDPOINT | ID", rows)
}

func newAppsSubscriptions(streams *term.Streams) *cobra.Command {
	var output string
	return onPlatform(streams, &cobra.Command{
		Use: "subscriptions APP", Short: "List the services that an application may call", Args: cobra.ExactArgs(1),
		Example: "  qhubctl apps subscriptions shop",
	}, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		app, err := p.Application(ctx, args[0])
		if err != nil {
			return err
		}
		all := []client.Subscription{}
		if err := p.Call(ctx, http.MethodGet, client.Path(appsPath+"/", app.ID, "/subscriptions"), nil, &all); err != nil {
			return err
		}
		return showSubscriptions(streams, output, all)
	})
}

func newAppsSubscribe(streams *term.Streams) *cobra.Command {
	var output string
	return onPlatform(streams, &cobra.Command{
		Use: "subscribe APP SERVICE", Short: "Let an application call a service", Args: cobra.ExactArgs(2),
		Long: `Subscribes an application to a service, and prints the endpoint that it calls.
Clients also need the address of the token endpoint, which is said beside it.
SERVICE is the name of a service of the account, or the id of any that is published.`,
		Example: "  qhubctl apps subscribe shop my-service\n  qhubctl apps subscribe shop 2f0f5b1e-43a7-4f0e-8d0c-0a1f4f5c9a77",
	}, &output, func(ctx context.Context, p *client.Platform, args []string) error {
		app, err := p.Application(ctx, args[0])
		if err != nil {
			return err
		}
		service := args[1]
		if own, err := p.Service(ctx, service); err == nil {
			service = own.ID
		}
		made, err := p.Subscribe(ctx, app.ID, service)
		if err != nil {
			return err
		}
		streams.Say("token endpoint: %s/token", p.Address())
		return showSubscriptions(streams, output, []client.Subscription{made})
	})
}

func newAppsUnsubscribe(streams *term.Streams) *cobra.Command {
	return onPlatform(streams, &cobra.Command{
		Use: "unsubscribe SUBSCRIPTION-ID", Short: "End a subscription", Args: cobra.ExactArgs(1),
		Example: "  qhubctl apps unsubscribe 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c",
	}, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		return p.Call(ctx, http.MethodDelete, client.Path("/qc-catalog/subscriptions/", args[0]), nil, nil)
	})
}
