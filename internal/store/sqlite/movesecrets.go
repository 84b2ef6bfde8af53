package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// MoveFormerSecrets has split make versions of each set of secrets that former programs
// have kept, and keeps these in place of the set, in one transaction for each. The
// sets of services that are gone are removed. A set that split cannot open stays, and its
// error is among those that are returned.
func (s *Store) MoveFormerSecrets(ctx context.Context, split func(secretstore.FormerSet) ([]secretstore.NewVersion, error)) (moved int, err error) {
	var failed []error
	for after := int64(0); ; {
		var ended bool
		next := after
		err := s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
			var name string
			var sealed []byte
			f := secretstore.FormerSet{}
			err := t.row(selectStoredSecrets, []any{after}, &next, &f.Tenant, &name, &sealed)
			if ended = errors.Is(err, store.ErrNotFound); ended {
				t.steady = true
				return nil
			}
			if err != nil {
				return err
			}
			f.Owner, f.Sealed = vault.SecretOwner(f.Tenant, name), bytes.Clone(sealed)
			return t.moveFormer(f, name, next, split)
		})
		after = next
		broken, ok := errors.AsType[*formerError](err)
		switch {
		case ok:
			failed = append(failed, broken)
		case err != nil:
			return moved, fmt.Errorf("move secrets of a former program: %w", err)
		case ended:
			return moved, errors.Join(failed...)
		default:
			moved++
		}
	}
}

// A formerError says that a set of secrets cannot be opened.
type formerError struct {
	owner vault.Owner
	err   error
}

func (e *formerError) Error() string { return fmt.Sprintf("%s: %v", e.owner, e.err) }
func (e *formerError) Unwrap() error { return e.err }

func (t *tx) moveFormer(f secretstore.FormerSet, name string, seq int64, split func(secretstore.FormerSet) ([]secretstore.NewVersion, error)) error {
	gone := false
	if version, ok := strings.CutSuffix(strings.TrimPrefix(name, "service/"), "/environment"); ok {
		var tenant string
		err := t.row(selectServiceOfVersion, []any{version}, &f.Service, &tenant)
		if gone = errors.Is(err, store.ErrNotFound); err != nil && !gone {
			return err
		}
		f.Version = version
	} else if f.Provider, ok = strings.CutPrefix(name, "provider/"); !ok {
		return &formerError{f.Owner, errors.New("its name is not known")}
	}
	var versions []secretstore.NewVersion
	if !gone {
		var err error
		if versions, err = split(f); err != nil {
			return &formerError{f.Owner, err}
		}
	}
	var names []string
	for _, v := range versions {
		if _, err := t.secretSeq(v.Place); !errors.Is(err, store.ErrNotFound) {
			if err != nil {
				return err
			}
			continue // set meanwhile, while this set could not be opened
		}
		v.SetAt = t.now
		if err := putVersion(t, v, math.MaxInt); err != nil {
			return err
		}
		names = append(names, v.Name)
	}
	t.destroyed = true
	if _, err := t.exec(deleteStoredSecret, seq); err != nil {
		return err
	}
	if gone {
		return nil
	}
	return t.appendAudit(audit.Entry{
		Tenant: f.Tenant, Time: t.now.UTC(), Actor: audit.Actor{Kind: "server"}, Action: "moveSecrets", Outcome: audit.Done,
		Details: map[string]string{"service": f.Service, "secrets": strings.Join(names, ",")},
	})
}
