package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
)

// readBoot names the current start of this machine; empty where the system does
// not tell.
func readBoot() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// noteBoot makes sure that nothing runs twice after a loss of power, without a
// sync of the disk for each start. What a process has written survives its own
// death, and is lost only with the machine. So where the machine has started
// anew since the database was last open, an execution that was claimed may have
// run, although nothing says so, and counts as started.
func noteBoot(ctx context.Context, db *sql.DB, boot string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("note the start of the machine: %w", classify(err))
	}
	defer func() { _ = tx.Rollback() }() // without effect once it is committed
	var last string
	err = tx.QueryRowContext(ctx, selectBoot).Scan(&last)
	if err != nil && err != sql.ErrNoRows { //nolint:errorlint // Scan returns it as it is
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
