package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// A Database has the state of a server in Postgres.
type Database struct {
	At sqlite.ConnectionString
	// Direct has no pooler behind it. Zero: At.
	Direct sqlite.ConnectionString
}

// minPassword is the length from which a password of the database is kept out of what
// executions show. A shorter one is a common word.
const minPassword = 8

// secrets are those of the connections.
func (d *Database) secrets() (all []plaintext.Named) {
	if d == nil {
		return nil
	}
	for _, at := range []sqlite.ConnectionString{d.At, d.Direct} {
		if password := at.Password(); len(password) >= minPassword {
			all = append(all, plaintext.Named{Value: plaintext.FromString(password), Own: true})
		}
	}
	return all
}

// PostgresName is the file of a data folder whose state is in Postgres. It names the
// database, for people.
const PostgresName = "state-in-postgres"

// An ElsewhereError is the error of a data folder whose state is in another place than
// asked for.
type ElsewhereError struct{ problem, hint string }

func (e *ElsewhereError) Error() string { return e.problem }

// Hint is the way out.
func (e *ElsewhereError) Hint() string { return e.hint }

// OpenState opens the state of a server: in Postgres, or in its data folder if d is nil.
func OpenState(ctx context.Context, dir string, d *Database, o StoreOptions) (*sqlite.Store, error) {
	if d == nil {
		return OpenStore(ctx, dir, o)
	}
	if _, err := os.Lstat(filepath.Join(dir, DatabaseName)); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(&ElsewhereError{
			fmt.Sprintf("the data folder %s has its state in %s", dir, DatabaseName),
			"name a new data folder with --data, or leave out --database",
		}, err)
	}
	executions, err := sqlite.OpenPostgres(ctx, d.At, sqlite.PostgresOptions{Direct: d.Direct, Now: o.Now, Committed: o.Committed})
	if err != nil {
		return nil, fmt.Errorf("cannot open the state: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, PostgresName), []byte(d.At.String()+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot use the data folder: %w", err), executions.Close())
	}
	return executions, nil
}

// inFolder is an error if the state of a data folder is in Postgres.
func inFolder(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, PostgresName)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return &ElsewhereError{
		fmt.Sprintf("the data folder %s has its state in Postgres", dir),
		"name the database with --database; the file " + PostgresName + " in the folder says which one it was",
	}
}
