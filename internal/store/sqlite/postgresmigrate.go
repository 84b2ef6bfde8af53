package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed postgresmigrations/*.sql
var postgresMigrations embed.FS

// migrationLock is the first key of the advisory lock of migrations.
const migrationLock = writerLock + 1

// migrate brings the schema up to date over the direct connection, under a lock of the
// session: of servers that start together, one does it and the others wait.
func (p *postgres) migrate(ctx context.Context) (err error) {
	config := p.direct.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	session, err := db.Conn(ctx)
	if err != nil {
		return p.classify(err)
	}
	defer func() { err = errors.Join(err, session.Close()) }() // the lock ends with it
	schema := ""
	if err := session.QueryRowContext(ctx, "SELECT coalesce(current_schema(), '')").Scan(&schema); err != nil {
		return p.classify(err)
	}
	if schema == "" {
		return errors.New("the user has no schema to make tables in; name one with search_path")
	}
	p.channel = "qhubctl_" + schema
	if _, err := session.ExecContext(ctx, "SELECT pg_advisory_lock($1, hashtext($2))", migrationLock, schema); err != nil {
		return fmt.Errorf("wait for another server that brings the schema up to date: %w", p.classify(err))
	}
	provider, err := newPostgresMigrator(db)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring the schema up to date: %w", p.classify(err))
	}
	if err := checkVersions(ctx, provider); err != nil {
		return err
	}
	if err := makeTriggers(ctx, session); err != nil {
		return fmt.Errorf("bring the triggers up to date: %w", p.classify(err))
	}
	return nil
}

func newPostgresMigrator(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(postgresMigrations, "postgresmigrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
}
