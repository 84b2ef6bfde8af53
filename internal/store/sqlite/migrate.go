package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrateAttempts is ample for processes that start at the same moment: each
// failure means that another one has made a step.
const migrateAttempts = 10

// migrate brings the schema up to date. Each migration is one transaction, so
// of two processes that start together one makes it and the other fails and
// finds it made when it looks again.
func migrate(ctx context.Context, db *sql.DB) error {
	provider, err := newMigrator(db)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	for range migrateAttempts {
		if _, err = provider.Up(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("bring the schema up to date: %w", classify(err))
	}
	return checkVersions(ctx, provider)
}

// checkVersion refuses a database of a newer program.
func checkVersion(ctx context.Context, db *sql.DB) error {
	provider, err := newMigrator(db)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	return checkVersions(ctx, provider)
}

func checkVersions(ctx context.Context, provider *goose.Provider) error {
	current, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", classify(err))
	}
	if current > newest {
		return fmt.Errorf("the schema has version %d and this qhubctl knows %d at most; use a newer qhubctl", current, newest)
	}
	return nil
}

func newMigrator(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files,
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
}
