package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/builder"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/hub"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// serverOptions are those of a platform.
type serverOptions struct {
	config           string
	data             string
	listen           string
	url              string
	tlsCert, tlsKey  string
	behindProxy      bool
	noSandbox        bool
	executionUsers   string
	concurrency      int
	builds           int
	poolFileLimit    int
	auditDays        int
	metrics          string
	revealAccessKeys bool
	verbose          bool
	masterKey        masterKey
	references       referenceOptions
	rotation         rotationOptions
	database, direct database
}

func newServer(streams *term.Streams) *cobra.Command {
	o := serverOptions{}
	command := &cobra.Command{
		Use:   "server",
		Short: "Run a platform: many services, deployed and versioned, with logins",
		Long: `Runs a platform in one process with one data folder. Teams deploy services to it
with qhubctl up, and applications call them with access keys.

The first start makes the data folder, the master key, and an owner with a token in
DATA/` + hub.OwnerTokenName + `. Back the folder up: without the key no secret in it can be read.

Each option can be a variable, such as QHUBCTL_SERVER_LISTEN, or stand in a TOML file
(--config), such as listen = "127.0.0.1:8700". A flag comes before a variable, and
that before the file. qhubctl server config shows the values in force.`,
		Example: `  qhubctl server
  qhubctl server --data /var/lib/qhubctl --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			origins, err := configure(cmd.Flags(), o.config)
			if err != nil {
				return err
			}
			if err := o.findDatabase(origins); err != nil {
				return err
			}
			warnOfVariables(streams, cmd.Flags())
			if err := o.check(); err != nil {
				return err
			}
			return serverRun(cmd.Context(), streams, o)
		},
	}
	o.flags(command)
	command.AddCommand(newServerConfig(streams, &o, command), newServerBackup(streams, &o, command), newServerRestore(streams, &o, command), newServerImport(streams, &o, command), newServerMigrate(streams))
	return command
}

func (o *serverOptions) flags(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.StringVar(&o.config, "config", "", "a TOML `FILE` with options")
	flags.StringVar(&o.data, "data", "", "the data `FOLDER` (default: qhubctl in $XDG_STATE_HOME, or in ~/.local/state)")
	flags.Var(&o.database, "database", "where the state is: a `URL` such as postgres://user@host/name, or @FILE with one (default: SQLite in the data folder)")
	flags.Var(&o.direct, "database-direct", "a `URL` of the same database without a pooler, or @FILE with one")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8700", "the `ADDRESS` to answer at")
	flags.StringVar(&o.url, "url", "", "where clients find the platform, such as https://hub.example.org")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "the certificate chain, a PEM `FILE`")
	flags.StringVar(&o.tlsKey, "tls-key", "", "the private key of the certificate, a PEM `FILE`")
	flags.BoolVar(&o.behindProxy, "behind-proxy", false, "a proxy in front ends TLS and sets X-Forwarded-For")
	flags.BoolVar(&o.noSandbox, "no-sandbox", false, "do not confine builds and executions; for development only")
	flags.StringVar(&o.executionUsers, "execution-users", "", "the users that a server which is root runs executions as: `FIRST-LAST` (default 200000-265535)")
	flags.IntVar(&o.concurrency, "concurrency", 0, "how many executions run at once (default: eight for each processor)")
	flags.IntVar(&o.builds, "builds", 1, "how many builds run at once")
	flags.IntVar(&o.poolFileLimit, "pool-file-limit", datapool.DefaultMaxFile>>20, "the largest file of a data pool, in `MiB`")
	flags.IntVar(&o.auditDays, "audit-days", 0, "how many days entries of the audit log are kept (default: all are kept)")
	flags.StringVar(&o.metrics, "metrics", "", "show Prometheus what the server does, at `ADDR`, such as 127.0.0.1:9464")
	flags.BoolVar(&o.revealAccessKeys, "reveal-access-keys", false, "let owners read the secrets of access keys at any time, not for 24 hours only")
	o.references.flags(command)
	o.rotation.flags(command)
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "show requests that only look, too")
	flags.StringVar(&o.masterKey.text, "master-key", "", "where the master key is: @FILE, env:VAR, or 'command:PROGRAM ARG...' that prints it (default: DATA/"+server.MasterKeyName+")")
}

func (o *serverOptions) check() error {
	host, port, err := net.SplitHostPort(o.listen)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	switch {
	case err != nil || host == "":
		return usagef("--listen is %q; it takes HOST:PORT, such as 127.0.0.1:8700", o.listen)
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return usagef("--tls-cert and --tls-key belong together")
	case !loopback(host) && o.tlsCert == "" && !o.behindProxy:
		return usagef("--listen %s lets other machines send tokens to the server; give --tls-cert and --tls-key, or --behind-proxy where a proxy ends TLS", o.listen)
	case o.concurrency < 0 || o.builds < 1:
		return usagef("--concurrency may not be negative, and --builds must be 1 or more")
	case o.auditDays < 0 || o.auditDays > 100*365:
		return usagef("--audit-days is %d; it takes 1 to 36500 days, or 0 for all", o.auditDays)
	case o.poolFileLimit < 1 || o.poolFileLimit > 1<<20:
		return usagef("--pool-file-limit is %d; it takes 1 to %d MiB", o.poolFileLimit, 1<<20)
	case !(&serveOptions{executionUsers: o.executionUsers}).usersAreRange():
		return usagef("--execution-users is %q; it must be FIRST-LAST, at least 512 users from 1000 on", o.executionUsers)
	}
	if err := (&serveOptions{metrics: o.metrics}).checkMetrics(); err != nil {
		return err
	}
	return o.masterKey.find()
}

// dataDir is the data folder.
func (o *serverOptions) dataDir() (string, error) {
	if o.data != "" {
		return filepath.Abs(o.data)
	}
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", usagef("there is no home folder; name the data folder with --data")
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "qhubctl"), nil
}

// prepareCommand is the name of the hidden command that prepares a workspace in the
// sandbox of a build.
const prepareCommand = "prepare-workspace"

func serverRun(ctx context.Context, streams *term.Streams, o serverOptions) error {
	dir, err := o.dataDir()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	info, err := readVersion()
	if err != nil {
		return err
	}
	log := newServerLog(streams, o.verbose)
	host, port, _ := net.SplitHostPort(o.listen)
	number, _ := strconv.Atoi(port)
	first, count, _ := (&serveOptions{executionUsers: o.executionUsers}).users()
	options := hub.RunOptions{
		Dir: dir, URL: o.url, BehindProxy: o.behindProxy, RevealAccessKeys: o.revealAccessKeys, Builds: o.builds, MaxPoolFile: int64(o.poolFileLimit) << 20,
		Prepare: []string{self, prepareCommand}, Version: info.Version, AuditRetention: time.Duration(o.auditDays) * 24 * time.Hour,
		Server: server.Options{
			Host: host, Port: number, Database: o.database.state(&o.direct), MasterKey: o.masterKey.source, Concurrency: o.concurrency, Log: log, Reporter: streams,
			Sandbox: server.SandboxOptions{Off: o.noSandbox, Required: !o.noSandbox, FirstUser: first, Users: count},
		},
		Started: func(s hub.Started) error { return greetOwner(streams, s) },
	}
	closeSources, err := o.sources(streams, &options)
	if err != nil {
		return err
	}
	defer closeSources()
	if o.metrics != "" {
		options.Server.Metrics = &server.MetricsOptions{Address: o.metrics, Version: info.Version, Commit: info.Commit}
	}
	if o.tlsCert != "" {
		certificate, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
		if err != nil {
			return fmt.Errorf("cannot read the certificate: %w", err)
		}
		options.Server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	for _, file := range []string{o.tlsKey, o.config, keyFile(o.masterKey.source), o.references.files, o.database.file(), o.direct.file()} {
		if path, err := filepath.Abs(file); err == nil && file != "" {
			options.Hidden = append(options.Hidden, path)
		}
	}
	if o.noSandbox {
		streams.Warn("builds and executions are not confined: whoever deploys a service can read and change all that this user can")
	}
	if err := hub.Run(ctx, options); err != nil {
		return err
	}
	streams.Say("stopped")
	return nil
}

// keyFile is the file of a source of the master key; empty if it is none.
func keyFile(source vault.KeySource) string {
	file, _ := source.(vault.FileSource)
	return string(file)
}

// greetOwner tells the two commands that follow.
func greetOwner(streams *term.Streams, s hub.Started) error {
	if s.First {
		streams.Say("The platform is new. Its owner logs in, and deploys a service, with:")
	} else {
		streams.Say("To log in, and to deploy a service:")
	}
	streams.Say("  qhubctl login %s --token @%s\n  qhubctl up DIR", s.URL, s.OwnerToken)
	if s.MetricsURL != "" {
		streams.Say("Metrics: %s", s.MetricsURL)
	}
	return writeAll(streams.Out, []byte(s.URL+"\n"))
}

// newPrepare is started by a server, in the sandbox of a build.
func newPrepare(streams *term.Streams) *cobra.Command {
	return &cobra.Command{
		Use: prepareCommand + " DIR", Short: "Prepare a workspace in the sandbox of a build", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := builder.Prepare(cmd.Context(), args[0], streams.Out); err != nil {
				return &exitError{exitFailed, err}
			}
			return nil
		},
	}
}
