package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// resealBatch bounds one transaction of Reseal.
const resealBatch = 100

// Expired implements [store.Retention].
func (s *Store) Expired(ctx context.Context, endedBefore time.Time, limit int) ([]execution.ID, error) {
	var ids []execution.ID
	err := s.read(ctx, selectEnded, []any{micros(endedBefore), limit}, func(row scanner) error {
		var id execution.ID
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find executions past their time: %w", err)
	}
	return ids, nil
}

// Delete implements [store.Retention].
func (s *Store) Delete(ctx context.Context, ids ...execution.ID) (removed int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	err = s.writer.do(ctx, survivesCrash, func(t *tx) error {
		removed = 0
		for _, id := range ids {
			n, err := t.exec(deleteExecution, string(id))
			if err != nil {
				return err
			}
			if n > 0 {
				removed++
				t.changed = append(t.changed, id)
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("delete executions: %w", err)
	}
	return removed, nil
}

// Reseal implements [store.Sealed].
func (s *Store) Reseal(ctx context.Context, rewrap store.Rewrapper) (changed int, err error) {
	for _, table := range sealedTables {
		var after int64
		for more := true; more; {
			var inBatch int
			var next int64
			// Durable: the former key may be removed once this has returned.
			err := s.writer.do(ctx, survivesPowerLoss, func(t *tx) (err error) {
				inBatch, next, err = table.reseal(t, after, rewrap)
				return err
			})
			if err != nil {
				return changed, fmt.Errorf("wrap sealed secrets again: %w", err)
			}
			changed += inBatch
			more, after = next > after, max(next, after)
		}
	}
	return changed, nil
}

// A sealedTable has sealed secrets. Each row has a number, its seq, by which batches
// are read, and a name that makes its owner.
type sealedTable struct {
	// from selects seq, name and sealed of the rows after a seq, in that order.
	from, update string
	owner        func(name string) vault.Owner
}

// sealedTables are all tables with sealed secrets.
var sealedTables = []sealedTable{
	{selectSecretsFrom, updateSecrets, vault.ExecutionOwner},
	{selectAccessKeysFrom, updateAccessKeySealed, vault.AccessKeyOwner},
	{selectSigningKeysFrom, updateSigningKeySealed, vault.SigningKeyOwner},
	{selectStoredSecretsFrom, updateStoredSecret, storedSecretOwner},
	{selectSecretVersionsFrom, updateSecretVersionSealed, secretVersionOwner},
}

// reseal passes a batch of sealed secrets after a place through rewrap, and
// returns the place of the last one, or zero if there was none.
func (table sealedTable) reseal(t *tx, after int64, rewrap store.Rewrapper) (changed int, last int64, err error) {
	type row struct {
		seq    int64
		name   string
		sealed []byte
	}
	var batch []row
	err = t.rows(table.from, []any{after, resealBatch}, func(s scanner) error {
		var r row
		err := s.Scan(&r.seq, &r.name, &r.sealed)
		batch = append(batch, r)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	for _, r := range batch {
		last = r.seq
		sealed, differs, err := rewrap(table.owner(r.name), vault.Sealed(r.sealed))
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", table.owner(r.name), err)
		}
		if !differs {
			continue
		}
		if _, err := t.exec(table.update, []byte(sealed), r.seq); err != nil {
			return 0, 0, err
		}
		changed++
		t.destroyed = true // the former wrapping
	}
	return changed, last, nil
}

// Scrub makes the bytes of destroyed secrets unreadable in the files. The store
// calls it within seconds after secrets were destroyed. An error that matches
// [store.ErrBusy] means that a reader delays it.
func (s *Store) Scrub(ctx context.Context) error {
	return s.writer.submit(ctx, &op{outside: s.writer.scrub, done: make(chan struct{})})
}
