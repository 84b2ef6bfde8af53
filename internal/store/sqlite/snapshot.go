package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/qhubctl/qhubctl/internal/store"
)

// Snapshot copies the state after one commit of the database at path, which servers may be
// using. The copy is a new file that only its owner can read.
func Snapshot(ctx context.Context, path, copyPath string) (err error) {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	file, err := os.OpenFile(copyPath, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // SQLite would let others read it
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, vacuumInto, copyPath); err != nil {
		return fmt.Errorf("copy the database: %w", errors.Join(classify(err), os.Remove(copyPath)))
	}
	return nil
}

// Verify reads a whole database that no server uses. It returns an error that matches
// [store.ErrCorrupt] if the database is damaged, and another one if this program is too
// old for it. It changes nothing.
func Verify(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, "query_only(on)"))
	if err != nil {
		return fmt.Errorf("check the database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var answer string
	if err := db.QueryRowContext(ctx, quickCheck).Scan(&answer); err != nil {
		return fmt.Errorf("check the database: %w", classify(err))
	}
	if answer != "ok" {
		return fmt.Errorf("check the database: %w: %s", store.ErrCorrupt, answer)
	}
	return checkVersion(ctx, db)
}
