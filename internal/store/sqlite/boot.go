package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
)

// readBoot identifies the current start of this machine; empty where the system
// does not report it.
func readBoot() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// noteBoot makes sure that no service runs twice after a loss of power, without
// a sync of the disk for each start. A write of a process survives the death of
// that process, and is lost only with the machine. So if the machine has
// restarted since the database was last open, a claimed execution may have run
// although no row says so: it counts as started.
func noteBoot(ctx context.Context, db *sql.DB, boot string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("note the start of the machine: %w", classify(err))
	}
	defer func() { _ = tx.Rollback() }() // no effect after the commit
	var last string
	err = tx.QueryRowContext(ctx, selectBoot).Scan(&last)
	if err != nil && err != sql.ErrNoRows { //nolint:errorlint // Scan returns it unwrapped
		return fmt.Errorf("note the start of the machine: %w", classify(err))
	}
	if boot == last {
		return nil
	}
	for _, step := range []struct {
		query string
		args  []any
	}{{updateClaimed, nil}, {upsertBoot, []any{boot}}} {
		if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
			return fmt.Errorf("note the start of the machine: %w", classify(err))
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("note the start of the machine: %w", classify(err))
	}
	return nil
}
