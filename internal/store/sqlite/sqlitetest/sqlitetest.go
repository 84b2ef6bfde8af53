// Package sqlitetest opens stores for the tests of other packages: in files, or in
// Postgres where [postgrestest.Variable] asks for it.
package sqlitetest

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// Open opens the store at a path, or in the schema that stands for it.
func Open(ctx context.Context, path string, o sqlite.Options) (*sqlite.Store, error) {
	url, err := postgrestest.Asked(ctx, path)
	if err != nil {
		return nil, err
	}
	if url == "" {
		return sqlite.Open(ctx, path, o)
	}
	at, err := sqlite.ParseConnectionString(url)
	if err != nil {
		return nil, err
	}
	return sqlite.OpenPostgres(ctx, at, sqlite.PostgresOptions{Now: o.Now, Committed: o.Committed})
}
