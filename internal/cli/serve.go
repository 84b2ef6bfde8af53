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
	limits      limits.Limits // parsed from limitTexts
	network     string
	noReload    bool
	importAge   time.Duration
	// executionUsers is a range of user ids that no other program uses.
	executionUsers string
	// requireSandbox refuses to serve if this machine cannot sandbox services.
	// noSandbox does not sandbox them, even if the machine can.
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
		Long: `Serves the service in DIR (default: this folder) over HTTP. Callers start
executions, follow them and read their results with any client of the Service
API, with ` + "`qhubctl executions`" + `, or on the page /docs.

Each execution is a separate process. A Python execution is a fork of a process
that has imported the service, if possible: see ` + "`qhubctl describe`" + `. To start a
new interpreter for each execution, set start = "cold" under [tool.qhubctl] in
pyproject.toml. Accepted executions are kept in .qhub/serve and survive a crash:
waiting ones start with the next serve. After you change a file of the service,
new executions use the change.

Secrets that a request leaves out come from the environment, the file of
--env-file, and .env. Data pools come from input/NAME or datapool/NAME.

Executions run in a sandbox, with all layers that this machine provides (see
` + "`qhubctl doctor`" + `). They see only the service, their own folders, data pools and
the system's programs. With --require-sandbox, a service is not served if a layer
is missing. If only forks lack a layer, the service starts cold.

Executions have limits on memory, processes, and result and temporary files.
--limit sets memory, cpu, cpu-time, processes, time, output, log, open-files and
temp. So does the workspace, under [tool.qhubctl.limits] in pyproject.toml or
[limits] in qhubctl.toml. The stricter limit counts. The same holds for --network
and network = "none" or "loopback" under [tool.qhubctl] or in qhubctl.toml.

A server that only this machine reaches needs no token, and accepts any. To serve
others, give --auth: then callers must send a token. The server makes one and
keeps it in .qhub/serve/token, or reads it with --auth=@FILE or --auth=env:VAR.

A master key seals secrets on disk. The first serve makes it: keep a copy.
--master-key names another source: a file, a variable, or a program that prints
the key. A running server loads new versions of it: see ` + "`qhubctl keys`" + `.

--metrics serves counters for Prometheus at /metrics of a separate address. That
address needs no token, even if the API does.

It prints its address on standard output, and all else on standard error.`,
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
	o.referencesFlag(command)
	flags := command.Flags()
	flags.StringVar(&o.host, "host", "127.0.0.1", "the address to listen at")
	flags.IntVar(&o.port, "port", defaultPort, "the port to listen at; 0 takes a free one")
	flags.StringVar(&o.auth, "auth", "", "require a token from callers: one that the server makes, or =@FILE, or =env:VAR")
	flags.Lookup("auth").NoOptDefVal = savedToken
	flags.IntVar(&o.concurrency, "concurrency", 0, "how many executions run at once (default: eight for each processor)")
	flags.DurationVar(&o.timeout, "timeout", 0, "end an execution after this time, such as 30s or 5m")
	flags.StringArrayVar(&o.limitTexts, "limit", nil, "bound each execution: NAME=VALUE, such as memory=512MiB or cpu=1.5")
	flags.StringVar(&o.network, "network", "", "the network that executions reach: full, loopback or none (default: that of the workspace, or full)")
	flags.BoolVar(&o.noReload, "no-reload", false, "do not reload the service when its files change")
	flags.DurationVar(&o.importAge, "import-age", devserver.DefaultImportAge, "import the service again when its import is this old; 0: never")
	flags.StringVar(&o.executionUsers, "execution-users", "", "the user ids for executions if the server runs as root: `FIRST-LAST` (default 200000-265535)")
	flags.BoolVar(&o.requireSandbox, "require-sandbox", false, "do not serve if this machine cannot confine executions")
	flags.BoolVar(&o.noSandbox, "no-sandbox", false, "do not confine executions")
	o.masterKey.flags(command)
	flags.StringVar(&o.metrics, "metrics", "", "serve metrics for Prometheus at `ADDR`, such as 127.0.0.1:9464")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "log requests that only read, too")
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

// server makes the options of the server.
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

// newServerLog makes the log that the user reads at the terminal.
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

// token reads the token of --auth. It removes a token from the environment, so that
// programs that it starts later do not inherit it.
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

// users returns the first user id for executions and their number, or zeros for the
// default range.
func (o *serveOptions) users() (first, count uint32, ok bool) {
	if o.executionUsers == "" {
		return 0, 0, true
	}
	from, to, found := strings.Cut(o.executionUsers, "-")
	low, err1 := strconv.ParseUint(from, 10, 31)
	high, err2 := strconv.ParseUint(to, 10, 31)
	// The server uses a part of the range for cold starts, and a part of the same
	// size for each zygote.
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

// checkMetrics requires a host. Without one the server would listen at every address
// of the machine, and callers need no token.
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
