package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/archive"
	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/deploy"
	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

type upOptions struct {
	dir           string
	name, version string
	dryRun        bool
	detach        bool
	timeout       time.Duration
	output        string
	app, saveKey  string
}

func newUp(streams *term.Streams) *cobra.Command {
	o := upOptions{}
	command := &cobra.Command{
		Use:   "up [DIR]",
		Short: "Deploy a service to the platform",
		Long: `Packs the workspace in DIR, sends it to the platform, shows its build, and activates
it when that has succeeded. A build that fails replaces nothing.

Files that .gitignore or .qhubignore name stay here, and so do .env, .git, .venv and
files of keys. A file that holds the value of a secret of this machine is refused.

With --app an application can call the service at once: the application is made, the
service is published for the applications of the account, and the access key is written
to a file that only you can read.

The name and the version are those of pyproject.toml or planqk.json, else the name of
the folder and 1.0.0. A service in Go is built here, as a program for Linux.`,
		Example: `  qhubctl up
  qhubctl up my-service --version 1.1.0
  qhubctl up my-service --app shop
  qhubctl up --dry-run`,
		Args: cobra.MaximumNArgs(1),
	}
	flags := command.Flags()
	flags.StringVar(&o.name, "name", "", "the name of the service")
	flags.StringVar(&o.version, "version", "", "the version, three numbers such as 1.0.0")
	flags.BoolVar(&o.dryRun, "dry-run", false, "list what would be sent, and send nothing")
	flags.BoolVar(&o.detach, "detach", false, "do not wait for the build")
	flags.StringVar(&o.app, "app", "", "let this application call the service; it is made if need be")
	flags.StringVar(&o.saveKey, "save-key", "", "with --app: the `FILE` for its access key (default: APP.key)")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Minute, "how long to wait for the build; it goes on")
	onPlatform(streams, command, &o.output, func(ctx context.Context, p *client.Platform, _ []string) error {
		return upRun(ctx, streams, p, o)
	})
	deployRun := command.RunE
	command.RunE = func(cmd *cobra.Command, args []string) error {
		o.dir = dirArg(args)
		if o.app == "" && o.saveKey != "" || o.app != "" && o.detach {
			return usagef("--save-key belongs to --app, and --app waits for the build: it cannot be used with --detach")
		}
		if o.app != "" {
			if err := o.checkKeyFile(); err != nil {
				return err
			}
		}
		if o.dryRun { // it needs no login
			return upRun(cmd.Context(), streams, nil, o)
		}
		return deployRun(cmd, args)
	}
	return command
}

func upRun(ctx context.Context, streams *term.Streams, p *client.Platform, o upOptions) error {
	w, err := workspace.Open(o.dir)
	if err != nil {
		return err
	}
	name, version, err := o.identity(w)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "qhubctl-up-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	selection, err := selectFiles(ctx, streams, w, scratch)
	if err != nil {
		return err
	}
	files, err := secretref.ReadFiles("", w.EnvFile())
	if err != nil {
		return fmt.Errorf("read %s, whose values must not be sent: %w", w.EnvFile(), err)
	}
	content, err := deploy.Pack(selection, secretref.NewFinder(nil, files).AllValues())
	if err != nil {
		return err
	}
	if o.dryRun {
		return listSelection(streams, selection, name, version)
	}
	done := streams.Step(fmt.Sprintf("Sending %d files, %s", len(selection.Files), humanize.IBytes(uint64(len(content)))))
	d, err := p.Deploy(ctx, name, version, content)
	done(err)
	if err != nil {
		return err
	}
	return followBuild(ctx, streams, p, d, o)
}

// identity is the name and the version to deploy as.
func (o *upOptions) identity(w *workspace.Workspace) (name, version string, err error) {
	manifest := struct{ Name string }{}
	text, err := os.ReadFile(filepath.Join(w.Dir, "planqk.json"))
	if err == nil {
		err = json.Unmarshal(text, &manifest)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("cannot read planqk.json: %w", err)
	}
	name = cmp.Or(o.name, manifest.Name, w.Name)
	if registry.CheckName(registry.NameOf(name)) != nil {
		return "", "", usagef("%q cannot be the name of a service; give another one with --name", name)
	}
	version = o.version
	if version == "" {
		version = w.Version
		if registry.CheckVersion(version) != nil {
			version = registry.DefaultVersion
		}
	}
	if err := registry.CheckVersion(version); err != nil {
		return "", "", usagef("--version is %q; it must be three numbers, such as 1.0.0", version)
	}
	return name, version, nil
}

// selectFiles chooses the files to send: those of a Python service, or the program of
// one in Go, which is built first.
func selectFiles(ctx context.Context, streams *term.Streams, w *workspace.Workspace, scratch string) (deploy.Selection, error) {
	if w.Language == workspace.Python {
		return deploy.Select(w.Dir)
	}
	program := filepath.Join(scratch, "service")
	selection := deploy.Selection{Files: []archive.File{{Name: "service", Path: program, Executable: true}}}
	settings := filepath.Join(w.Dir, "qhubctl.toml")
	if _, err := os.Stat(settings); err == nil {
		selection.Files = append(selection.Files, archive.File{Name: "qhubctl.toml", Path: settings})
	}
	if w.Language == workspace.Prebuilt {
		env, err := w.Prepare(ctx, streams)
		if err != nil {
			return selection, err
		}
		selection.Files = selection.Files[:1] // its folder says nothing about it
		selection.Files[0].Path = env.Binary
		return selection, nil
	}
	gotool, err := exec.LookPath("go")
	if err != nil {
		return selection, &workspace.Error{Message: "there is no Go on this machine", Advice: "install Go (https://go.dev/dl)"}
	}
	done := streams.Step("Building the service for Linux")
	build := environ.Command(ctx, gotool, "build", "-trimpath", "-o", program, ".")
	build.Dir = w.Dir
	build.Env = append(environ.Public(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	out, err := build.CombinedOutput()
	done(err)
	if err != nil {
		return selection, &workspace.Error{Message: "go build failed", Detail: string(out), Err: err}
	}
	return selection, nil
}

func listSelection(streams *term.Streams, s deploy.Selection, name, version string) error {
	var b strings.Builder
	for _, file := range s.Names() {
		b.WriteString(visible(file) + "\n")
	}
	for _, left := range s.LeftOut {
		streams.Say("left out %s (%s)", visible(left.Name), visible(left.Reason))
	}
	streams.Say("%s %s: %d files, %s", registry.NameOf(name), version, len(s.Files), humanize.IBytes(uint64(s.Size())))
	return writeAll(streams.Out, []byte(b.String()))
}

// followBuild shows the build, and says where the service is called.
func followBuild(ctx context.Context, streams *term.Streams, p *client.Platform, d client.Deployment, o upOptions) error {
	if o.detach {
		streams.Say("the build goes on; see it with: qhubctl services log %s", d.Name)
		return printDeployment(streams, d, o.output)
	}
	limited, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	built, err := p.WatchBuild(limited, d.ServiceID, d.Revision.ID, func(l client.BuildLine) error {
		if l.Severity == "ERROR" || l.Severity == "WARNING" {
			streams.Say("%s: %s", strings.ToLower(l.Severity), visible(l.Message))
			return nil
		}
		streams.Say("%s", visible(l.Message))
		return nil
	})
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return &exitError{exitFailed, fmt.Errorf("the build takes longer than %s; it goes on, see it with: qhubctl services log %s", o.timeout, d.Name)}
	}
	if err != nil {
		if ctx.Err() != nil {
			streams.Say("the build goes on; see it with: qhubctl services log %s", d.Name)
		}
		return err
	}
	d.Revision.Build = built
	if !built.Succeeded() {
		summary := "the build has failed"
		if built.ValidationResult != nil {
			summary += ": " + visible(built.ValidationResult.Summary)
		}
		return &exitError{exitFailed, errors.New(summary + "\nthe service stays as it was")}
	}
	d.Revision.Active = true
	streams.Say("revision %d of %s %s is active", d.Revision.Number, d.Name, d.Version)
	if o.app != "" {
		if err := giveAccess(ctx, streams, p, d, o); err != nil {
			return err
		}
	}
	return printDeployment(streams, d, o.output)
}

func printDeployment(streams *term.Streams, d client.Deployment, output string) error {
	if output == "json" {
		return printJSON(streams, d)
	}
	return writeAll(streams.Out, []byte(d.GatewayEndpoint+"\n"))
}

// activeFirst sorts versions for a table, the highest first.
func activeFirst(versions []client.Version) {
	slices.SortFunc(versions, func(a, b client.Version) int { return registry.CompareVersions(b.Version, a.Version) })
}
