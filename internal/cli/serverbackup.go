package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/backup"
	"github.com/qhubctl/qhubctl/internal/hub"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/vault"
)

func newServerBackup(streams *term.Streams, o *serverOptions, parent *cobra.Command) *cobra.Command {
	format := ""
	command := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the state of a platform to one file, while it runs or not",
		Long: `Copies the state of a platform to one file: executions with their results, services
with their archives, callers, and sealed secrets, as they were at one moment. The server
may run meanwhile. FILE is a tar archive, or - for standard output.

The master key is not in it: keep the key apart, and safe. Without it the backup cannot
be used. Environments of services are not in it either: the first execution after a
restore makes them again from the archive.`,
		Example: `  qhubctl server backup platform.tar
  qhubctl server backup - --data /var/lib/qhubctl | zstd > platform.tar.zst`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(format); err != nil {
				return err
			}
			dir, err := o.configuredDir(parent)
			if err == nil {
				err = inFolder(dir, "copies", "copy the database with pg_dump, then the folders blobs and results of the data folder")
			}
			if err != nil {
				return err
			}
			return backupRun(cmd.Context(), streams, dir, args[0], format)
		},
	}
	outputFlag(command, &format)
	return command
}

// configuredDir is the data folder, from flags, variables and the configuration file.
func (o *serverOptions) configuredDir(parent *cobra.Command) (string, error) {
	if _, err := configure(parent.PersistentFlags(), o.config); err != nil {
		return "", err
	}
	return o.dataDir()
}

func backupRun(ctx context.Context, streams *term.Streams, dir, name, format string) error {
	info, err := readVersion()
	if err != nil {
		return err
	}
	if name == "-" {
		if format != "" {
			return usagef("--output is for a backup that goes to a file")
		}
		if streams.OutTerminal {
			return usagef("a backup is not for a terminal: name a file, or send it to another program")
		}
		contents, err := backup.Write(ctx, hub.Layout(), dir, streams.Out, info.Version)
		if err == nil {
			sayBackup(streams, contents, dir)
		}
		return explainBackup(err)
	}
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return usagef("%s exists already; name a new file", name)
	}
	done := streams.Step("Backing up " + dir)
	contents, err := backupTo(ctx, dir, name, info.Version)
	done(err)
	if err != nil {
		return explainBackup(err)
	}
	sayBackup(streams, contents, dir)
	return printContents(streams, contents, format)
}

// backupTo writes a file that appears when all of it is durable.
func backupTo(ctx context.Context, dir, name, program string) (contents backup.Contents, err error) {
	file, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-") // only its owner can read it
	if err != nil {
		return contents, fmt.Errorf("make the file of the backup: %w", err)
	}
	contents, err = backup.Write(ctx, hub.Layout(), dir, file, program)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Link(file.Name(), name) // it replaces nothing
	}
	return contents, errors.Join(err, os.Remove(file.Name()))
}

func sayBackup(streams *term.Streams, c backup.Contents, dir string) {
	streams.Say("%d files, %s; the master key is not among them: keep a copy of it apart from the backup (%s, unless --master-key names another)",
		c.Files, humanize.IBytes(uint64(c.Bytes)), filepath.Join(dir, server.MasterKeyName))
}

func printContents(streams *term.Streams, c backup.Contents, format string) error {
	if format != "json" {
		return nil
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return writeAll(streams.Out, append(text, '\n'))
}

// backupError says what to do about a backup that failed.
type backupError struct {
	err  error
	hint string
}

func (e *backupError) Error() string { return e.err.Error() }
func (e *backupError) Unwrap() error { return e.err }
func (e *backupError) Hint() string  { return e.hint }

func explainBackup(err error) error {
	switch {
	case errors.Is(err, backup.ErrFull):
		return &backupError{err, "nothing is left of it; make room, or use another disk"}
	case errors.Is(err, backup.ErrNoPlatform):
		return &backupError{err, "name the data folder of the platform with --data"}
	case errors.Is(err, backup.ErrNotEmpty):
		return &backupError{err, "nothing was changed; name a new folder with --data, or move the old one away"}
	case errors.Is(err, backup.ErrDamaged):
		return &backupError{err, "nothing was restored; take another copy of the backup"}
	}
	return err
}

func newServerRestore(streams *term.Streams, o *serverOptions, parent *cobra.Command) *cobra.Command {
	format := ""
	command := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the data folder of a platform from a backup",
		Long: `Makes a new data folder from a backup, which it checks: its checksums, its database,
and with --master-key also that the key opens its secrets. A folder that is not empty
stays unchanged. FILE may be - for standard input.

A restore needs this version of qhubctl or a newer one, and the master key that was in
use. Executions that ran when the backup was made are FAILED after the restore; those
that waited start. A new token of the owner is made at the first start.`,
		Example: `  qhubctl server restore platform.tar --data /var/lib/qhubctl --master-key @master.key
  zstd -dc platform.tar.zst | qhubctl server restore -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(format); err != nil {
				return err
			}
			dir, err := o.configuredDir(parent)
			if err != nil {
				return err
			}
			if err := o.masterKey.find(); err != nil {
				return err
			}
			return restoreRun(cmd.Context(), streams, dir, args[0], format, o.masterKey)
		},
	}
	outputFlag(command, &format)
	return command
}

func restoreRun(ctx context.Context, streams *term.Streams, dir, name, format string, key masterKey) error {
	from := streams.In
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return usagef("cannot read the backup: %v", err)
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	var check func(string) error
	if key.source != nil {
		check = func(partial string) error { return checkKey(ctx, partial, key.source) }
	}
	done := streams.Step("Restoring " + dir)
	contents, err := backup.Restore(ctx, hub.Layout(), from, dir, check)
	done(err)
	if err != nil {
		return explainBackup(err)
	}
	streams.Say("%d files, %s, as of %s", contents.Files, humanize.IBytes(uint64(contents.Bytes)), contents.Created.Format("2006-01-02 15:04:05 MST"))
	if key.source == nil {
		streams.Say("Before the first start, put the master key of the backup into %s (mode 600), or name it with --master-key.", filepath.Join(dir, server.MasterKeyName))
	} else {
		streams.Say("The key opens its secrets. Start the platform with:\n  qhubctl server --data %s --master-key %s", dir, visible(key.text))
	}
	return printContents(streams, contents, format)
}

// checkKey makes sure that a key opens the secrets of a restored platform.
func checkKey(ctx context.Context, dir string, source vault.KeySource) (err error) {
	ring, err := source.Read(ctx)
	if err != nil {
		return &server.MasterKeyError{Err: err}
	}
	defer ring.Clear()
	executions, err := server.OpenStore(ctx, dir, sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, executions.Close()) }()
	use, err := store.FindKeyUse(ctx, executions, ring)
	if err != nil {
		return fmt.Errorf("cannot read the sealed secrets: %w", err)
	}
	if err := use.Err(); err != nil {
		return &backupError{
			fmt.Errorf("the key from %s does not open the secrets of this backup: %w", source, err),
			"nothing was restored; name the key that was in use when the backup was made",
		}
	}
	return nil
}
