package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const (
	// The changes of values since the last commit. Tables and triggers of the connection:
	// a change that somebody else makes in the file is in none of them. A value that is
	// wrapped again is no change.
	createSealedChanges = `CREATE TEMP TABLE sealed_changes (added INTEGER NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, sealed BLOB NOT NULL);
CREATE TEMP TRIGGER sealed_added AFTER INSERT ON main.secret_versions WHEN new.sealed IS NOT NULL BEGIN
	INSERT INTO sealed_changes VALUES (1, new.seq, new.id, new.sealed);
END;
CREATE TEMP TRIGGER sealed_destroyed AFTER UPDATE OF sealed ON main.secret_versions WHEN old.sealed IS NOT NULL AND new.sealed IS NULL BEGIN
	INSERT INTO sealed_changes VALUES (0, old.seq, old.id, old.sealed);
END;
CREATE TEMP TRIGGER sealed_deleted AFTER DELETE ON main.secret_versions WHEN old.sealed IS NOT NULL BEGIN
	INSERT INTO sealed_changes VALUES (0, old.seq, old.id, old.sealed);
END;`

	selectSealedChanges = `SELECT added, seq, id, sealed FROM temp.sealed_changes`
	deleteSealedChanges = `DELETE FROM temp.sealed_changes`

	selectSealedState = `SELECT changes, sum, key, signature FROM sealed_state`
	selectSealedCount = `SELECT changes FROM sealed_state`
	upsertSealedState = `INSERT INTO sealed_state (only, changes, sum, key, signature) VALUES (1, $1, $2, $3, $4)
	ON CONFLICT (only) DO UPDATE SET changes = excluded.changes, sum = excluded.sum, key = excluded.key, signature = excluded.signature`

	selectAllSealed = `SELECT 1, seq, id, sealed FROM secret_versions WHERE sealed IS NOT NULL`
)

// A sealedChange scans a value that was added, or taken away.
type sealedChange struct {
	added  bool
	seq    int64
	id     string
	sealed []byte
}

// into adds the change to a sum. The wrapping of a value is no part of it.
func (c *sealedChange) into(sum *audit.Sum) {
	digest := sha256.Sum256(vault.Sealed(c.sealed).Values())
	value := binary.BigEndian.AppendUint64(nil, uint64(c.seq))
	value = append(append(value, digest[:]...), c.id...)
	sum.Add(value, c.added)
}

func addChanges(sum *audit.Sum, n *int) func(scanner) error {
	return func(row scanner) error {
		var c sealedChange
		if err := row.Scan(&c.added, &c.seq, &c.id, &c.sealed); err != nil {
			return err
		}
		*n++
		c.into(sum)
		return nil
	}
}

// sealedState is what vouches for the sealed values; the zero value: nothing does.
func (t *tx) sealedState() (s audit.Sealed, err error) {
	var sum []byte
	err = t.row(selectSealedState, nil, &s.Changes, &sum, &s.Key, &s.Signature)
	if errors.Is(err, store.ErrNotFound) {
		return audit.Sealed{}, nil
	}
	s.Sum, _ = audit.SumOf(sum)
	return s, err
}

// signSealed signs the sealed values if they have changed. It returns how many changes
// there have been.
func (w *writer) signSealed(t *tx) (int64, error) {
	var difference audit.Sum
	n := 0
	if err := t.rows(selectSealedChanges, nil, addChanges(&difference, &n)); err != nil {
		return 0, err
	}
	if n == 0 {
		return t.sealedChanges()
	}
	state, err := t.sealedState()
	if err != nil {
		return 0, err
	}
	state.Sum.Join(&difference)
	if _, err := t.exec(deleteSealedChanges); err != nil {
		return 0, err
	}
	state.Changes += int64(n)
	return state.Changes, t.writeSealed(state, w.signing.signer)
}

// sealedChanges is how many changes of the sealed values there have been.
func (t *tx) sealedChanges() (changes int64, err error) {
	err = t.row(selectSealedCount, nil, &changes)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	return changes, err
}

func (t *tx) writeSealed(s audit.Sealed, signer audit.Signer) error {
	if err := s.Sign(signer); err != nil {
		return err
	}
	_, err := t.exec(upsertSealedState, s.Changes, s.Sum.Bytes(), s.Key, s.Signature)
	return err
}

// signAllSealed signs the values that are there. Changes that this connection has noted
// are among them.
func signAllSealed(t *tx, signer audit.Signer) error {
	var s audit.Sealed
	n := 0
	if err := t.rows(selectAllSealed, nil, addChanges(&s.Sum, &n)); err != nil {
		return err
	}
	s.Changes = int64(n)
	if _, err := t.exec(deleteSealedChanges); err != nil {
		return err
	}
	return t.writeSealed(s, signer)
}

// CheckSealed verifies that the values of stored secrets are those that were written: none
// was changed, added or removed. [audit.ErrBroken].
func (s *Store) CheckSealed(ctx context.Context, signer audit.Signer) error {
	var state audit.Sealed
	var found audit.Sum
	var heads []audit.Head
	var keys []audit.Key
	err := s.writer.submit(ctx, &op{durability: survivesCrash, done: make(chan struct{}), run: func(t *tx) (err error) {
		found, heads = audit.Sum{}, nil
		n := 0
		if state, err = t.sealedState(); err == nil {
			err = t.rows(selectAllSealed, nil, addChanges(&found, &n))
		}
		if err == nil {
			err = t.rows(selectSignedHeads, nil, scanHeads(&heads))
		}
		if err == nil {
			keys, err = t.auditKeys()
		}
		return err
	}})
	if err != nil {
		return fmt.Errorf("read the sealed values: %w", err)
	}
	trusted, err := audit.Trusted(signer, keys)
	if err != nil {
		return err
	}
	if state.Key == "" && len(heads) == 0 && bytes.Equal(found.Bytes(), (&audit.Sum{}).Bytes()) {
		return nil // nothing was ever signed
	}
	return state.Check(found, trusted, heads)
}
