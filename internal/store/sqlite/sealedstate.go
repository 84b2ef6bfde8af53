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
	selectSealedChanges = `SELECT added, row, sealed FROM temp.sealed_changes`
	deleteSealedChanges = `DELETE FROM temp.sealed_changes`

	selectSealedState = `SELECT form, changes, sum, key, signature FROM sealed_state`
	selectSealedNamed = `SELECT coalesce(max(sealed), 0) FROM audit_heads`
	selectSealedCount = `SELECT changes FROM sealed_state`
	upsertSealedState = `INSERT INTO sealed_state ("only", form, changes, sum, key, signature) VALUES (1, $1, $2, $3, $4, $5)
	ON CONFLICT ("only") DO UPDATE SET form = excluded.form, changes = excluded.changes, sum = excluded.sum, key = excluded.key, signature = excluded.signature`

	selectSealedOfForm1 = `SELECT seq, id, sealed FROM secret_versions WHERE sealed IS NOT NULL`
)

// sealedState is what vouches for the sealed values; the zero value: nothing does.
func (t *tx) sealedState() (s audit.Sealed, err error) {
	var sum []byte
	err = t.row(selectSealedState, nil, &s.Form, &s.Changes, &sum, &s.Key, &s.Signature)
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
	if err := w.session.takeSealed(addChanges(&difference, &n)); err != nil {
		return 0, err
	}
	if n == 0 {
		return t.sealedChanges()
	}
	state, err := t.sealedState()
	if err != nil {
		return 0, err
	}
	if state.Form < audit.SealedForm && state.Key != "" {
		return state.Changes, nil // it was found broken, and stays so as evidence
	}
	intact, err := t.intactSealed(&state)
	if err != nil {
		return 0, err
	}
	state.Form = audit.SealedForm
	state.Sum.Join(&difference)
	state.Changes += int64(n)
	if !intact {
		// It keeps the signature, which is not valid for what follows.
		_, err := t.exec(upsertSealedState, state.Form, state.Changes, state.Sum.Bytes(), state.Key, state.Signature)
		return state.Changes, err
	}
	return state.Changes, t.writeSealed(state, w.signing.signer)
}

// intactSealed reports whether the sum is one that was signed, and no older than the
// heads of the audit log say. Where it is not, nothing vouches for the values again.
func (t *tx) intactSealed(s *audit.Sealed) (bool, error) {
	var named int64
	if err := t.row(selectSealedNamed, nil, &named); err != nil {
		return false, err
	}
	if s.Key == "" {
		return named == 0 && s.Changes == 0, nil // nothing was ever signed
	}
	return s.Signed(t.w.signing.trusted) && named <= s.Changes, nil
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
	_, err := t.exec(upsertSealedState, s.Form, s.Changes, s.Sum.Bytes(), s.Key, s.Signature)
	return err
}

// signAllSealed signs the rows that are there, after so many changes. Changes that this
// session has noted are among them.
func signAllSealed(t *tx, signer audit.Signer, changes int64) error {
	s, n := audit.Sealed{Form: audit.SealedForm}, 0
	if err := t.rows(selectWatched(), nil, scanChanges(addChanges(&s.Sum, &n))); err != nil {
		return err
	}
	s.Changes = max(int64(n), changes)
	if err := t.w.session.takeSealed(func(sealedChange) {}); err != nil {
		return err
	}
	return t.writeSealed(s, signer)
}

// raiseSealed has the sum of a former program cover what that of this one does, unless it
// does not match the values.
func raiseSealed(t *tx, signer audit.Signer, trusted []audit.Key) error {
	state, err := t.sealedState()
	if err != nil || state.Key == "" || state.Form >= audit.SealedForm {
		return err
	}
	found, err := t.sealedSum(state.Form)
	if err != nil {
		return err
	}
	if err := state.Check(found, trusted, nil); err != nil {
		return nil //nolint:nilerr // CheckSealed finds the same, as long as nothing is signed
	}
	return signAllSealed(t, signer, state.Changes+1)
}

// sealedSum is the sum of the present rows, as a form has it.
func (t *tx) sealedSum(form int) (sum audit.Sum, err error) {
	if form >= audit.SealedForm {
		n := 0
		err = t.rows(selectWatched(), nil, scanChanges(addChanges(&sum, &n)))
		return sum, err
	}
	err = t.rows(selectSealedOfForm1, nil, func(row scanner) error {
		var seq int64
		var id string
		var sealed []byte
		if err := row.Scan(&seq, &id, &sealed); err != nil {
			return err
		}
		digest := sha256.Sum256(vault.Sealed(sealed).Values())
		sum.Add(append(append(binary.BigEndian.AppendUint64(nil, uint64(seq)), digest[:]...), id...), true)
		return nil
	})
	return sum, err
}

// CheckSealed verifies that the rows of stored secrets and sealed values are those that were
// written: none was changed, added or removed. [audit.ErrBroken].
func (s *Store) CheckSealed(ctx context.Context, signer audit.Signer) error {
	var state audit.Sealed
	var found audit.Sum
	var heads []audit.Head
	var keys []audit.Key
	err := s.writer.submit(ctx, &op{durability: survivesCrash, done: make(chan struct{}), run: func(t *tx) (err error) {
		heads, t.steady = nil, true
		if state, err = t.sealedState(); err == nil {
			found, err = t.sealedSum(max(state.Form, 1))
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
