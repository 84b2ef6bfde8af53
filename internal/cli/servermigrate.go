package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/term"
)

// movedName is the former database in the data folder of a platform that has moved to
// Postgres.
const movedName = server.DatabaseName + ".moved"

// serverMigrate moves the state of a platform into Postgres.
type serverMigrate struct {
	from, output string
	to           database
	masterKey    masterKey
}

func newServerMigrate(streams *term.Streams) *cobra.Command {
	var o serverMigrate
	command := &cobra.Command{
		Use:   "migrate --from sqlite://FOLDER --to URL",
		Short: "Move the state of a platform from its data folder into Postgres",
		Long: `Copies all tables of a platform into an empty schema in Postgres, and reads them back:
each table must have the same number of rows and the same digest. Then it verifies the
audit logs and opens all sealed values in Postgres, with the master key.

Stop the server first: a database that is in use is refused, and so is a schema that has
rows. After a failure the data folder is unchanged, and the command can be repeated. After
a success the former database is called ` + movedName + `; delete it once the server
runs. Files, results and the master key stay in the data folder.`,
		Example: `  qhubctl server migrate --from sqlite:///var/lib/qhubctl --to postgres://qhubctl@db.example.org/qhubctl
  qhubctl server --data /var/lib/qhubctl --database postgres://qhubctl@db.example.org/qhubctl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			return o.run(cmd.Context(), streams)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.from, "from", "", "the data `FOLDER` of the platform, as sqlite://FOLDER")
	flags.Var(&o.to, "to", "the database: a `URL` such as postgres://user@host/name, or @FILE with one")
	o.masterKey.flags(command)
	outputFlag(command, &o.output)
	return command
}

// find reads the options, and returns the data folder.
func (o *serverMigrate) find() (dir string, err error) {
	dir, ok := strings.CutPrefix(o.from, "sqlite://")
	if !ok || dir == "" {
		return "", usagef("--from must be sqlite:// and the data folder of a platform, such as sqlite:///var/lib/qhubctl")
	}
	if o.to.text == "" {
		return "", usagef("--to is missing; it names the database in Postgres")
	}
	if err := errors.Join(o.to.find("to", fromFlag), o.masterKey.find()); err != nil {
		return "", err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if exists(filepath.Join(dir, server.PostgresName)) {
		return "", usagef("the state of the platform in %s is in Postgres already", dir)
	}
	if !exists(filepath.Join(dir, server.DatabaseName)) {
		return "", usagef("there is no platform in %s; name its data folder", dir)
	}
	return dir, nil
}

func (o *serverMigrate) run(ctx context.Context, streams *term.Streams) error {
	dir, err := o.find()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, server.DatabaseName)
	if err := sqlite.CheckUnused(ctx, path); err != nil {
		return explainMove(err)
	}
	anchors, err := audit.ReadAnchors(filepath.Join(dir, audit.AnchorsName))
	if err != nil {
		return err
	}
	ring, err := server.KeySource(o.masterKey.source, dir).Read(ctx)
	if err != nil {
		return &server.MasterKeyError{Err: err}
	}
	defer ring.Clear()
	check := func(executions *sqlite.Store, err error) (checkedLogs, error) {
		if err != nil {
			return checkedLogs{}, err
		}
		k := &openedKeys{ring: ring, executions: executions}
		reports, sealed, problems, err := k.check(ctx, anchors)
		return checkedLogs{Accounts: reports, Sealed: sealed}, errors.Join(err, problems.err(), executions.Close())
	}
	if _, err := check(server.OpenStore(ctx, dir, sqlite.Options{})); err != nil {
		return fmt.Errorf("the state in %s: %w", dir, err)
	}
	var checked checkedLogs
	working := streams.Step("Moving " + dir)
	tables, err := sqlite.CopyToPostgres(ctx, path, o.to.at, func() (err error) {
		if checked, err = check(sqlite.OpenPostgres(ctx, o.to.at, sqlite.PostgresOptions{})); err != nil {
			return fmt.Errorf("the copy in Postgres: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, server.PostgresName), []byte(o.to.at.String()+"\n"), 0o600); err != nil {
			return err
		}
		return os.Rename(path, filepath.Join(dir, movedName))
	})
	working(err)
	if err != nil {
		return errors.Join(explainMove(err), unmark(dir))
	}
	return o.say(streams, dir, tables, checked)
}

// unmark takes the mark of a state in Postgres from a data folder that keeps its own.
func unmark(dir string) error {
	if !exists(filepath.Join(dir, server.DatabaseName)) {
		return nil
	}
	return os.RemoveAll(filepath.Join(dir, server.PostgresName))
}

func explainMove(err error) error {
	switch {
	case errors.Is(err, sqlite.ErrInUse):
		return &backupError{err, "stop the server first; nothing was changed"}
	case errors.Is(err, sqlite.ErrNotEmpty):
		return &backupError{err, "name an empty database, or a new schema: postgres://user@host/name?search_path=SCHEMA"}
	}
	return err
}

// checkedLogs are the logs and values that were verified in Postgres.
type checkedLogs struct {
	Accounts []audit.Report
	Sealed   int
}

func (o *serverMigrate) say(streams *term.Streams, dir string, tables []sqlite.CopiedTable, checked checkedLogs) error {
	var rows, entries int64
	for _, t := range tables {
		rows += t.Rows
	}
	for _, r := range checked.Accounts {
		entries += r.Entries
	}
	streams.Say("%d rows in %d tables are the same in Postgres; %d entries of the audit log and %d sealed values were checked there", rows, len(tables), entries, checked.Sealed)
	streams.Say("Start the platform with:\n  qhubctl server --data %s --database %s", dir, visible(o.to.String()))
	if o.output == "json" {
		return printJSON(streams, map[string]any{"tables": tables, "accounts": checked.Accounts, "sealed": checked.Sealed})
	}
	for _, t := range tables {
		if _, err := fmt.Fprintf(streams.Out, "%-26s %8d  %s\n", t.Name, t.Rows, t.Digest); err != nil {
			return err
		}
	}
	return nil
}
