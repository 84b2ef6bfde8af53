package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/devserver"
	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/vault"
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
	limits      limits.Limits // of the texts
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
			if err := o.check(); err != nil {
				return err
			}
			if err := o.masterKey.find(); err != nil {
				return err
			}
			return serveRun(cmd.Context(), streams, o)
		},
	}
	o.serveFlags(command)
	return command
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
	flags.DurationVar(&o.importAge, "import-age", devserver.DefaultImportAge, "import the service again when executions have shared its import for this time; 0: never")
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
		if err := workspace.SetLimit(&o.limits, name, value); err != nil {
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

func serveRun(ctx context.Context, streams *term.Streams, o serveOptions) error {
	token, err := o.token()
	if err != nil {
		return err
	}
	options := devserver.Options{
		Service: o.build(), Network: o.network, ImportAge: o.importAge, NoReload: o.noReload,
		Limits:      limits.Stricter(o.limits, limits.Limits{Time: o.timeout}),
		SecretFiles: o.secretFiles(), Log: newServerLog(streams, o.verbose), Reporter: streams,
		Started: func(started devserver.Started) error {
			greet(streams, started)
			return writeAll(streams.Out, []byte(started.URL+"\n"))
		},
	}
	if options.Server, err = o.server(token, streams, options.Log); err != nil {
		return err
	}
	return devserver.Run(ctx, options)
}

// server says how the process serves.
func (o *serveOptions) server(token server.Token, streams *term.Streams, log *slog.Logger) (server.Options, error) {
	first, count, _ := o.users()
	options := server.Options{
		Host: o.host, Port: o.port, Token: token, MasterKey: o.masterKey.source, Concurrency: o.concurrency,
		Sandbox: server.SandboxOptions{Off: o.noSandbox, Required: o.requireSandbox, FirstUser: first, Users: count},
		Network: devserver.Networks[o.network], Log: log, Reporter: streams,
	}
	if o.metrics != "" {
		info, err := readVersion()
		if err != nil {
			return options, err
		}
		options.Metrics = &server.MetricsOptions{Address: o.metrics, Version: info.Version, Commit: info.Commit}
	}
	return options, nil
}

// newServerLog writes for the person at the terminal.
func newServerLog(streams *term.Streams, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	switch {
	case streams.Quiet:
		level = slog.LevelError
	case verbose:
		level = slog.LevelDebug
	}
	return slog.New(tint.NewTextHandler(streams.Log(), &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !streams.Animate}))
}

// token reads the token of --auth. One in a variable it takes out of the
// environment, so that no program which is started later inherits it.
func (o *serveOptions) token() (t server.Token, err error) {
	name, variable := strings.CutPrefix(o.auth, "env:")
	switch {
	case o.auth == "":
		return t, nil
	case o.auth == savedToken:
		return server.MadeToken(), nil
	case strings.HasPrefix(o.auth, "@"):
		t, err = server.ReadToken(o.auth[1:])
	case variable && name != "":
		value, _ := environ.LookupSecret(name)
		if err = os.Unsetenv(name); err == nil {
			t, err = server.NewToken([]byte(value))
		}
	default:
		return t, usagef("--auth takes @FILE or env:VAR, not the token itself, which every user of this machine could read")
	}
	if errors.Is(err, server.ErrTokenTooShort) {
		return t, usagef("--auth: %v", err)
	}
	if err != nil {
		return t, fmt.Errorf("cannot read the token: %w", err)
	}
	return t, nil
}

// secretFiles are the files that tokens and keys are read from.
func (o *serveOptions) secretFiles() []string {
	var files []string
	if name, ok := strings.CutPrefix(o.auth, "@"); ok {
		files = append(files, name)
	}
	if file, ok := o.masterKey.source.(vault.FileSource); ok {
		files = append(files, string(file))
	}
	return files
}

// users are the first of those that executions run as, and how many there are;
// 0 for those by default.
func (o *serveOptions) users() (first, count uint32, ok bool) {
	if o.executionUsers == "" {
		return 0, 0, true
	}
	from, to, found := strings.Cut(o.executionUsers, "-")
	low, err1 := strconv.ParseUint(from, 10, 31)
	high, err2 := strconv.ParseUint(to, 10, 31)
	// The server takes some for executions that start cold, and as many for each
	// process that is forked.
	const lowest, fewest = 1000, 512
	if !found || err1 != nil || err2 != nil || low < lowest || high < low+fewest-1 {
		return 0, 0, false
	}
	return uint32(low), uint32(high - low + 1), true
}

func (o *serveOptions) usersAreRange() bool {
	_, _, ok := o.users()
	return ok
}

// checkMetrics wants the host named: left out it would be every address of the
// machine, and whoever reaches one of them may read.
func (o *serveOptions) checkMetrics() error {
	if o.metrics == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(o.metrics)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host == "" {
		return usagef("--metrics is %q; it takes HOST:PORT, such as 127.0.0.1:9464, or 0.0.0.0:9464 for other machines to read it", o.metrics)
	}
	return nil
}
