package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/qhubctl/qhubctl/internal/store"
)

// The classes and codes of Postgres that mean something to callers.
var (
	// A server that shuts down, starts, or has become a standby.
	awayCodes = []string{"08", "57P01", "57P02", "57P03", "57P05", "25006", "53300", "25P03"}
	// A transaction that another one has prevented. Unique violations count as one: two
	// processes may insert the same key.
	conflictCodes = []string{"40001", "40P01", "23505", "55P03"}
)

func hasCode(code string, of []string) bool {
	for _, c := range of {
		if strings.HasPrefix(code, c) {
			return true
		}
	}
	return false
}

// classify gives an error of Postgres the kind that callers know. Errors that have one
// already pass unchanged.
func (p *postgres) classify(err error) error {
	if err == nil {
		return nil
	}
	if repeatable(err) {
		return err
	}
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyCode(failure, err)
	}
	var connect *pgconn.ConnectError
	switch {
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrNotFound):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &connect):
		return err
	case errors.As(err, &connect):
		// Its text has the user and the host, and no password.
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	case errors.Is(err, pgx.ErrNoRows):
		return store.ErrNotFound
	case err.Error() == "closed pool":
		return store.ErrClosed
	case connectionLost(err):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}

func classifyCode(failure *pgconn.PgError, err error) error {
	switch code := failure.Code; {
	case hasCode(code, awayCodes):
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	case hasCode(code, conflictCodes):
		return &repeatableError{fmt.Errorf("%w: %w", store.ErrBusy, err)}
	case hasCode(code, []string{"53100", "53200", "54"}):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case hasCode(code, []string{"58"}):
		return fmt.Errorf("%w: %w", store.ErrIO, err)
	case hasCode(code, []string{"XX001", "XX002"}):
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	case hasCode(code, []string{"22021", "22P05", "22P02"}): // a character that texts cannot have
		return fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	return err
}

// connectionLost reports whether an error is of the connection, not of the statement.
func connectionLost(err error) bool {
	text := err.Error()
	return pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		strings.Contains(text, "unexpected EOF") || strings.Contains(text, "conn closed") ||
		strings.Contains(text, "broken pipe") || strings.Contains(text, "connection reset")
}
