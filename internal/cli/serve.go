package cli

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

const (
	defaultPort = 8000
	// savedToken is --auth without a value.
	savedToken = "kept"
)

type serveOptions struct {
	serviceOptions
	host        string
	port        int
	auth        string
	concurrency int
	timeout     time.Duration
	limitTexts  []string
	limits      workspace.Limits // of the texts
	network     string
	noReload    bool
	importAge   time.Duration
	// executionUsers are the numbers of users that no other program has.
	executionUsers string
	// requireSandbox refuses to serve where this machine cannot confine
	// services; noSandbox does not confine them even where it can.
	requireSandbox bool
	noSandbox      bool
	masterKey      masterKey
	metrics        string
	verbose        bool
}

func newServe(streams *term.Streams) *cobra.Command {
	var o serveOptions
	command := &cobra.Command{
		Use:   "serve [DIR]",
		Short: "Serve a service over HTTP",
		Long: `Serves the service in DIR (default: this folder) over HTTP: executions are
started, followed and read through its API, by any client of the Service API,
by ` + "`qhubctl executions`" + `, or on the page /docs.

Each execution is a process of its own. One in Python is a fork of a process
that has imported the service and never runs it, where that is possible:
` + "`qhubctl describe`" + ` tells, and start = "cold" under [tool.qhubctl] in
pyproject.toml has each start anew. What is accepted is kept in .qhub/serve
and survives a crash: what waited then starts with the next serve. A change of
the service's files counts for executions that start after it.

Secrets that a request leaves out come from the environment, the file of
--env-file, and .env; data pools from input/NAME or datapool/NAME.

Executions are confined by all that this machine gives (see ` + "`qhubctl doctor`" + `):
they see the service, their own folders, data pools and the system's programs,
and nothing else, and nothing of each other. With --require-sandbox a service is
not served where something is missing. Where only forks lack it, it starts cold.

Executions are limited in memory, processes, result and temporary files; --limit
and the workspace, under [tool.qhubctl.limits] in pyproject.toml or [limits] in
qhubctl.toml, set memory, cpu, cpu-time, processes, time, output, log,
open-files and temp. The stricter of both counts. So it is with --network and
network = "none" or "loopback" under [tool.qhubctl] or in qhubctl.toml.

On this machine alone no token is asked for, and any is accepted. To serve
others give --auth: callers then have to send a token, which is made and kept
in .qhub/serve/token, or read with --auth=@FILE or --auth=env:VAR.

Secrets are sealed on disk by a master key, which the first serve makes; keep a
copy. --master-key names another: a file, a variable, or a program that prints
it. A server takes new versions of it over as it runs: see ` + "`qhubctl keys`" + `.

--metrics has what the server does counted, for Prometheus to read at /metrics of
an address of its own. Whoever reaches that needs no token.

The address is printed on standard output, all else on standard error.`,
		Example: `  qhubctl serve
  qhubctl serve my-service --port 0
  qhubctl serve --limit memory=512MiB --limit time=5m
  qhubctl serve --metrics 127.0.0.1:9464
  qhubctl serve my-service --host 0.0.0.0 --auth=env:SERVICE_TOKEN`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = dirArg(args)
			if err := o.ready(); err != nil {
				return err
			}
			return serveRun(cmd.Context(), streams, o)
		},
	}
	o.serveFlags(command)
	return command
}

// ready checks the options, and finds the master key.
func (o *serveOptions) ready() error {
	if err := o.check(); err != nil {
		return err
	}
	return o.masterKey.find()
}

func (o *serveOptions) serveFlags(command *cobra.Command) {
	o.flags(command)
	flags := command.Flags()
	flags.StringVar(&o.host, "host", "127.0.0.1", "the address to listen at")
	flags.IntVar(&o.port, "port", defaultPort, "the port to listen at; 0 takes a free one")
	flags.StringVar(&o.auth, "auth", "", "ask callers for a token: one that is made, or =@FILE, or =env:VAR")
	flags.Lookup("auth").NoOptDefVal = savedToken
	flags.IntVar(&o.concurrency, "concurrency", 0, "how many executions run at once (default: eight for each processor)")
	flags.DurationVar(&o.timeout, "timeout", 0, "end an execution after this time, such as 30s or 5m")
	flags.StringArrayVar(&o.limitTexts, "limit", nil, "bound each execution: NAME=VALUE, such as memory=512MiB or cpu=1.5")
	flags.StringVar(&o.network, "network", "", "what executions reach of the network: full, loopback or none (default: what the workspace says, or full)")
	flags.BoolVar(&o.noReload, "no-reload", false, "do not look for changes of the service")
	flags.DurationVar(&o.importAge, "import-age", importAge, "import the service again when executions have shared its import for this time; 0: never")
	flags.StringVar(&o.executionUsers, "execution-users", "", "the users that a server which is root runs executions as: `FIRST-LAST` (default 200000-265535)")
	flags.BoolVar(&o.requireSandbox, "require-sandbox", false, "do not serve where this machine cannot confine executions")
	flags.BoolVar(&o.noSandbox, "no-sandbox", false, "do not confine executions")
	o.masterKey.flags(command)
	flags.StringVar(&o.metrics, "metrics", "", "show Prometheus what the server does, at `ADDR`, such as 127.0.0.1:9464")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "show requests that only look, too")
}

func (o *serveOptions) check() error {
	switch {
	case o.port < 0 || o.port > 65535:
		return usagef("--port is %d; it may be 0 to 65535", o.port)
	case o.timeout < 0:
		return usagef("--timeout is negative")
	case o.importAge < 0:
		return usagef("--import-age is negative")
	case !o.usersAreRange():
		return usagef("--execution-users is %q; it must be FIRST-LAST, at least 512 users from 1000 on", o.executionUsers)
	case o.requireSandbox && o.noSandbox:
		return usagef("--require-sandbox and --no-sandbox contradict each other")
	case o.network != "" && workspace.CheckNetwork(o.network) != nil:
		return usagef("--network is %q; it may be full, loopback or none", o.network)
	case o.network != "" && o.network != "full" && o.noSandbox:
		return usagef("--network %s and --no-sandbox contradict each other", o.network)
	case o.concurrency < 0:
		return usagef("--concurrency is negative")
	case o.auth == "" && !loopback(o.host):
		return usagef("--host %s lets others call the service; give --auth too, so that they need a token", o.host)
	}
	if variable, ok := strings.CutPrefix(o.auth, "env:"); ok {
		environ.MarkSecret(variable) // before the first program is started
	}
	if err := o.checkMetrics(); err != nil {
		return err
	}
	for _, text := range o.limitTexts {
		name, value, _ := strings.Cut(text, "=")
		if err := o.limits.Set(name, value); err != nil {
			return usagef("--limit %s: %v", text, err)
		}
	}
	return nil
}

// loopback reports whether only this machine reaches a host.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// listen takes the port. At 127.0.0.1 it takes that of [::1] as well, if the machine
// has it free: a caller of "localhost" may try that first, and an execution could
// listen there in the server's place.
func (o *serveOptions) listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(o.host, strconv.Itoa(o.port)))
	if err != nil {
		return nil, &listenError{o.port, err}
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok || !address.IP.Equal(net.IPv4(127, 0, 0, 1)) {
		return listener, nil
	}
	if other, err := config.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(address.Port))); err == nil {
		listener = httpserver.Both(listener, other)
	}
	return listener, nil
}

type listenError struct {
	port int
	err  error
}

func (e *listenError) Error() string { return fmt.Sprintf("cannot listen: %v", e.err) }
func (e *listenError) Unwrap() error { return e.err }
func (e *listenError) Hint() string {
	return fmt.Sprintf("something else may use port %d; take another, or a free one with --port 0", e.port)
}
