package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// An Adoption says what becomes of the executions of another database.
type Adoption struct {
	// Service and Revision are those that the executions get, Tenant the one that has
	// started them.
	Service, Revision, Tenant string
	// Reseal seals the secrets of an execution for this database.
	Reseal func(owner vault.Owner, sealed vault.Sealed) (vault.Sealed, error)
}

// Adopted counts the executions that were taken over.
type Adopted struct{ Executions, Waiting int }

// ErrInUse says that a server uses a database.
var ErrInUse = errors.New("a server uses this database")

// Adopt copies the executions of the database at from, with their requests, secrets, tags
// and logs, into the one at path: all of them or none. It gives the ids to copied before
// the copy is visible. No server may use either database. Idempotency keys are left out:
// they are made with the key of the other server.
//
// [store.ErrExists]: an execution is there already.
func Adopt(ctx context.Context, path, from string, a Adoption, copied func([]execution.ID) error) (n Adopted, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return n, fmt.Errorf("take executions over: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, "foreign_keys(on)", "synchronous(full)", "secure_delete(on)"))
	if err != nil {
		return n, fmt.Errorf("take executions over: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1) // ATTACH is of one connection
	if _, err := db.ExecContext(ctx, attachSource, from); err != nil {
		return n, fmt.Errorf("take executions over: %w", classify(err))
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return n, fmt.Errorf("take executions over: %w", classify(err))
	}
	defer func() { _ = tx.Rollback() }() // no effect after the commit
	if n, err = adopt(ctx, tx, a, copied); err != nil {
		return Adopted{}, fmt.Errorf("take executions over: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return Adopted{}, fmt.Errorf("take executions over: %w", classify(err))
	}
	return n, nil
}

func adopt(ctx context.Context, tx *sql.Tx, a Adoption, copied func([]execution.ID) error) (n Adopted, err error) {
	var leased, known int
	var base int64
	now := micros(time.Now())
	for _, q := range []struct {
		query string
		args  []any
		into  any
	}{
		{countLeased, []any{now}, &leased}, {countKnown, nil, &known}, {selectLastSeq, nil, &base},
		{countSource, nil, &n.Executions}, {countSourceWaiting, nil, &n.Waiting},
	} {
		if err := tx.QueryRowContext(ctx, q.query, q.args...).Scan(q.into); err != nil {
			return n, classify(err)
		}
	}
	switch {
	case leased > 0:
		return n, fmt.Errorf("%w: %d executions are claimed", ErrInUse, leased)
	case known > 0:
		return n, fmt.Errorf("%w: %d executions", store.ErrExists, known)
	}
	ids, err := sourceIDs(ctx, tx)
	if err == nil {
		err = copied(ids)
	}
	if err != nil {
		return n, err
	}
	for _, step := range []struct {
		query string
		args  []any
	}{
		{adoptExecutions, []any{base, a.Service, a.Revision, a.Tenant}}, {adoptRequests, []any{base}},
		{adoptTags, []any{base, a.Service, a.Tenant}}, {adoptLogs, []any{base}},
	} {
		if _, err := tx.ExecContext(ctx, step.query, step.args...); err != nil {
			return n, classify(err)
		}
	}
	return n, adoptSecrets(ctx, tx, base, a)
}

func sourceIDs(ctx context.Context, tx *sql.Tx) (ids []execution.ID, err error) {
	rows, err := tx.QueryContext(ctx, selectSourceIDs)
	if err != nil {
		return nil, classify(err)
	}
	return ids, drain(rows, func(s scanner) error {
		var id string
		err := s.Scan(&id)
		ids = append(ids, execution.ID(id))
		return err
	})
}

// adoptSecrets seals the secrets of executions for this database.
func adoptSecrets(ctx context.Context, tx *sql.Tx, base int64, a Adoption) error {
	type row struct {
		seq    int64
		id     string
		sealed []byte
	}
	var all []row
	rows, err := tx.QueryContext(ctx, selectSourceSecrets)
	if err != nil {
		return classify(err)
	}
	err = drain(rows, func(s scanner) error {
		var r row
		err := s.Scan(&r.seq, &r.id, &r.sealed)
		all = append(all, r)
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range all {
		sealed, err := a.Reseal(vault.ExecutionOwner(r.id), vault.Sealed(r.sealed))
		if err != nil {
			return fmt.Errorf("the secrets of execution %s: %w", r.id, err)
		}
		if _, err := tx.ExecContext(ctx, insertAdoptedSecrets, base+r.seq, []byte(sealed)); err != nil {
			return classify(err)
		}
	}
	return nil
}
