package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/term"
)

const jobsPath = "/qc-catalog/service-jobs"

func newJobs(streams *term.Streams) *cobra.Command {
	o := &remote{}
	children := []*cobra.Command{
		newJobsStart(streams, o), newJobsList(streams, o), newExecutionsGet(streams, o), newExecutionsLog(streams, o),
		newExecutionsResult(streams, o), newExecutionsFiles(streams, o), newExecutionsCancel(streams, o), newJobsRerun(streams, o),
	}
	for _, child := range children {
		child.Example = strings.ReplaceAll(child.Example, "qhubctl executions", "qhubctl jobs")
	}
	command := group(&cobra.Command{
		Use:     "jobs",
		Aliases: []string{"job"},
		Short:   "Run services of your account on a platform",
		Long: `A job runs a service that your account owns, without a publication and a
subscription: it is how you try a service that you have deployed. A job is an
execution, so the commands are those of qhubctl executions.`,
		Example: `  qhubctl jobs start my-service -d '{"n": 4}' --secret api_token=@token.txt --wait
  qhubctl jobs list --service my-service`,
	}, children...)
	command.PersistentFlags().StringVar(&o.output, "output", "text", "how to print: text or json")
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	command.PersistentPreRunE = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			o.job = func(ctx context.Context, p *client.Platform) (string, error) { return jobEndpoint(ctx, p, args[0]) }
		}
		return checkOutput(o.output)
	}
	return command
}

// jobEndpoint is the address of the service that a job runs.
func jobEndpoint(ctx context.Context, p *client.Platform, id string) (string, error) {
	var job execution.Execution
	if err := p.Call(ctx, http.MethodGet, client.Path(jobsPath+"/", id), nil, &job); err != nil {
		return "", err
	}
	versions, err := p.Versions(ctx, job.ServiceID)
	if err != nil {
		return "", err
	}
	for _, v := range versions {
		if v.ID == job.ServiceDefinitionID {
			return v.GatewayEndpoint, nil
		}
	}
	return "", errors.New("the service of this job was deleted")
}

func newJobsStart(streams *term.Streams, r *remote) *cobra.Command {
	o, store := startOptions{remote: r}, false
	command := &cobra.Command{
		Use:   "start SERVICE",
		Short: "Start a job",
		Long: `Starts a job and prints its id. SERVICE is the name or the id of a service. With
--wait it shows the live log on standard error, and prints the result at the end.

Only this one job gets the secrets. They come from

` + indent(secretref.Syntax) + `

or from $secrets in the request, if the request is a file or standard input.`,
		Example: `  qhubctl jobs start my-service -d '{"data": {"message": "hello"}}' --secret api_token=@token.txt
  qhubctl jobs start my-service -d @request.json --tag nightly --wait`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: completeServices(streams),
	}
	o.flags(command)
	flags := command.Flags()
	flags.StringArrayVar(&o.tags, "tag", nil, "a tag to find the job by; may be repeated")
	flags.BoolVar(&o.wait, "wait", false, "show the log, wait for the end, and print the result")
	flags.BoolVar(&store, "store-input", false, "keep the input, without secrets, so that the job can run again")
	return onPlatform(streams, command, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		o.dataGiven = command.Flags().Changed("data")
		if err := o.check(); err != nil {
			return err
		}
		return jobStartRun(ctx, streams, p, o, args[0], store)
	})
}

func jobStartRun(ctx context.Context, streams *term.Streams, p *client.Platform, o startOptions, service string, store bool) error {
	input, err := o.request(ctx, streams)
	defer clear(input)
	if err != nil {
		return err
	}
	s, err := p.Service(ctx, service)
	if err != nil {
		return err
	}
	id, err := json.Marshal(s.ID)
	if err != nil {
		return err
	}
	head := fmt.Appendf(nil, `{"serviceId":%s,"storeInput":%t,"input":`, id, store)
	// Join makes one buffer of the full size: growing would leave copies of the secrets.
	request := bytes.Join([][]byte{head, input, []byte(`}`)}, nil)
	defer clear(request)
	return o.startJob(ctx, streams, p, jobsPath, request)
}

// startJob sends a request that starts a job, and follows it, or prints its id.
func (o startOptions) startJob(ctx context.Context, streams *term.Streams, p *client.Platform, path string, request []byte) error {
	var job execution.Execution
	if err := p.Send(ctx, http.MethodPost, path, request, &job); err != nil {
		return err
	}
	if o.wait {
		endpoint, err := jobEndpoint(ctx, p, job.ID.String())
		if err != nil {
			return err
		}
		c, err := p.At(endpoint)
		if err != nil {
			return err
		}
		return o.follow(ctx, streams, c, job)
	}
	if o.output == "json" {
		return printJSON(streams, job)
	}
	if err := writeAll(streams.Out, []byte(job.ID.String()+"\n")); err != nil {
		return err
	}
	streams.Say("to follow it: qhubctl jobs log -f %s", job.ID)
	return nil
}

func newJobsRerun(streams *term.Streams, r *remote) *cobra.Command {
	o := startOptions{remote: r}
	command := &cobra.Command{
		Use: "rerun ID", Short: "Run a job again that has kept its input", Args: cobra.ExactArgs(1),
		Long: `Runs a job again that was started with --store-input, as another job. Secrets are never
kept: give again those that the platform does not have. They come from

` + indent(secretref.Syntax),
		Example: "  qhubctl jobs rerun 5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c --secret api_token=@token.txt --wait",
	}
	flags := command.Flags()
	flags.StringArrayVar(&o.secrets, "secret", nil, "the source of a secret: NAME, NAME=@FILE, NAME=- or NAME=env:VAR")
	flags.BoolVar(&o.wait, "wait", false, "show the log, wait for the end, and print the result")
	return onPlatform(streams, command, nil, func(ctx context.Context, p *client.Platform, args []string) error {
		secrets, err := o.readSecrets(ctx, streams)
		defer func() {
			for _, found := range secrets {
				found.Value.Clear()
			}
		}()
		if err != nil {
			return err
		}
		request, err := buildRequest(nil, secrets, nil)
		defer clear(request)
		if err != nil {
			return err
		}
		return o.startJob(ctx, streams, p, client.Path(jobsPath+"/", args[0])+"/rerun", request)
	})
}

func newJobsList(streams *term.Streams, o *remote) *cobra.Command {
	var service, tag string
	var limit int
	command := &cobra.Command{
		Use: "list", Short: "List the jobs of the account, the newest first", Args: cobra.NoArgs,
		Example: "  qhubctl jobs list\n  qhubctl jobs list --service my-service --tag nightly --output json",
	}
	flags := command.Flags()
	flags.StringVar(&service, "service", "", "list only jobs of this service")
	flags.StringVar(&tag, "tag", "", "list only jobs with this tag")
	flags.IntVar(&limit, "limit", 50, "list at most this many jobs, 1 to 1000")
	_ = command.RegisterFlagCompletionFunc("service", completeServices(streams))
	return onPlatform(streams, command, nil, func(ctx context.Context, p *client.Platform, _ []string) error {
		if limit < 1 || limit > 1000 {
			return usagef("--limit is %d; it must be 1 to 1000", limit)
		}
		services, err := p.Services(ctx)
		if err != nil {
			return err
		}
		query := url.Values{"size": {strconv.Itoa(limit)}}
		names := map[string]string{}
		for _, s := range services {
			names[s.ID] = s.Name
			if service == s.Name || service == s.ID {
				query.Set("serviceId", s.ID)
			}
		}
		if service != "" && !query.Has("serviceId") {
			return usagef("there is no service %q in this account", service)
		}
		if tag != "" {
			query.Set("tags", tag)
		}
		var page struct{ Content []execution.Execution }
		if err := p.Call(ctx, http.MethodGet, jobsPath+"?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		if o.output == "json" {
			return printJSON(streams, page.Content)
		}
		rows := make([][]string, 0, len(page.Content))
		for _, e := range page.Content {
			name := names[e.ServiceID]
			rows = append(rows, []string{e.ID.String(), orDash(&name), string(e.Status), localTime(e.CreatedAt), duration(e), visible(strings.Join(e.Tags, ", "))})
		}
		return table(streams, "ID | SERVICE | STATUS | CREATED | TOOK | TAGS", rows)
	})
}
