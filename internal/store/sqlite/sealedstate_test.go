package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

func keyring(t *testing.T, text string) *vault.Keyring {
	t.Helper()
	ring, err := vault.FromText([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// putSecret stores a version of a secret of an account, with its audit entry.
func putSecret(t *testing.T, s *Store, ring *vault.Keyring, name, id string) {
	t.Helper()
	place := secretstore.Place{Kind: secretstore.OfTenant, Tenant: "t", Name: name}
	sealed, err := ring.Seal(place.Owner(id), vault.Secrets{"value": plaintext.FromString("value " + id)})
	if err != nil {
		t.Fatal(err)
	}
	ctx := audit.With(t.Context(), audit.NewRecord(audit.Entry{Tenant: "t", Action: "setSecret"}))
	version := secretstore.NewVersion{Place: place, ID: id, Sealed: sealed, SetAt: time.Now(), Keep: time.Hour}
	if err := s.Secrets().Put(ctx, []secretstore.NewVersion{version}, 100); err != nil {
		t.Fatal(err)
	}
}

// sealedFile makes a database with versions of secrets, after all kinds of changes, and a
// copy from before the last.
func sealedFile(t *testing.T) (path, old string, ring *vault.Keyring) {
	t.Helper()
	path, old = filepath.Join(t.TempDir(), "store.db"), filepath.Join(t.TempDir(), "old.db")
	s := mustOpen(t, path)
	ring = fillSealed(t, s, func() { copyFile(t, path, old) })
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path, old, ring
}

// fillSealed makes versions of secrets. It has them copied before the last change.
func fillSealed(t *testing.T, s *Store, copyOld func()) *vault.Keyring {
	t.Helper()
	first := keyring(t, firstKey)
	if err := s.SignAudit(t.Context(), audit.NewSigner(first), nil, true); err != nil {
		t.Fatal(err)
	}
	ring := keyring(t, firstKey+","+secondKey)
	check := func(what string) {
		t.Helper()
		if err := s.CheckSealed(t.Context(), audit.NewSigner(ring)); err != nil {
			t.Fatalf("CheckSealed() after %s = %v, want nil", what, err)
		}
	}
	check("nothing")
	for i := range 4 {
		putSecret(t, s, first, fmt.Sprint("secret_", i%3), fmt.Sprint("id-", i))
	}
	check("secrets were set")
	if err := s.SignAudit(t.Context(), audit.NewSigner(ring), nil, false); err != nil {
		t.Fatal(err)
	}
	if n, err := store.Rewrap(t.Context(), s, ring); n != 4 || err != nil {
		t.Fatalf("Rewrap() = %d, %v, want 4 values", n, err)
	}
	check("a rotation of the master key")
	gone := secretstore.Place{Kind: secretstore.OfTenant, Tenant: "t", Name: "secret_2"}
	ctx := audit.With(t.Context(), audit.NewRecord(audit.Entry{Tenant: "t", Action: "deleteSecret"}))
	if err := s.Secrets().Delete(ctx, gone, 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	check("a secret was deleted")
	if n, err := s.Secrets().Sweep(t.Context(), time.Now().Add(2*time.Hour)); n != 1 || err != nil {
		t.Fatalf("Sweep() = %d, %v, want the version that was replaced", n, err)
	}
	check("a version was destroyed")
	for _, name := range []string{"secret_3", "secret_4"} {
		if err := s.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		copyOld()
		putSecret(t, s, ring, name, "id-of-"+name)
	}
	check("more secrets were set")
	return ring
}

// checkSealed opens all values, and verifies them as a set.
func checkSealed(t *testing.T, s *Store, ring *vault.Keyring) error {
	t.Helper()
	use, err := store.FindSealed(t.Context(), s, ring)
	if err == nil && len(use.Damaged)+len(use.Missing) > 0 {
		err = audit.ErrBroken
	}
	return errors.Join(err, s.CheckSealed(t.Context(), audit.NewSigner(ring)))
}

// TestEditsOfSealedValuesAreFound edits stored values and what vouches for them at random.
func TestEditsOfSealedValuesAreFound(t *testing.T) {
	t.Parallel()
	path, old, ring := sealedFile(t)
	edited := filepath.Join(t.TempDir(), "edited.db")
	check := func(path string, goesOn bool) error {
		s := mustOpen(t, path)
		defer func() { _ = s.Close() }()
		if goesOn { // and does not vouch for the edit
			if err := s.SignAudit(t.Context(), audit.NewSigner(ring), nil, false); err != nil {
				t.Fatal(err)
			}
			putSecret(t, s, ring, "another", "id-of-another")
		}
		return checkSealed(t, s, ring)
	}
	if err := check(path, false); err != nil {
		t.Fatalf("unchanged values: %v, want nil", err)
	}
	rapid.Check(t, func(r *rapid.T) {
		copyFile(t, path, edited)
		edit, changes := sealedEdit(r, editsOfSQLite(old))
		changeFile(r, edited, changes)
		if err := check(edited, rapid.Bool().Draw(r, "the server goes on")); err == nil {
			r.Fatalf("%s: the values count as unchanged, want %v", edit, audit.ErrBroken)
		}
	})
}

// forgeSum deletes a value, and makes the sum that of the others.
func forgeSum(t *testing.T, s *Store, forge func(query string, args ...any)) {
	t.Helper()
	forge("DELETE FROM secret_versions WHERE seq = (SELECT max(seq) FROM secret_versions WHERE sealed IS NOT NULL)")
	var sum audit.Sum
	if err := s.writer.do(t.Context(), survivesCrash, func(t *tx) (err error) {
		t.steady = true
		sum, err = t.sealedSum(audit.SealedForm)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	forge("UPDATE sealed_state SET sum = $1", sum.Bytes())
}

// checkNotVouchedFor has the server change values after a sum was forged. It is not valid
// before or after.
func checkNotVouchedFor(t *testing.T, s *Store, ring *vault.Keyring) {
	t.Helper()
	for i := range 3 {
		if err := s.CheckSealed(t.Context(), audit.NewSigner(ring)); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("CheckSealed() after a forged sum and %d changes = %v, want %v", i, err, audit.ErrBroken)
		}
		putSecret(t, s, ring, fmt.Sprint("after_", i), fmt.Sprint("id-after-", i))
	}
}

// TestForgedSumIsNotVouchedFor in a file, where a server starts again after it.
func TestForgedSumIsNotVouchedFor(t *testing.T) {
	t.Parallel()
	path, _, ring := sealedFile(t)
	s := mustOpen(t, path)
	forgeSum(t, s, func(query string, args ...any) {
		db, err := sql.Open("sqlite", dsn(path))
		if err == nil {
			_, err = db.ExecContext(t.Context(), query, args...)
		}
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path)
	defer func() { _ = s.Close() }()
	if err := s.SignAudit(t.Context(), audit.NewSigner(ring), nil, false); err != nil {
		t.Fatal(err)
	}
	checkNotVouchedFor(t, s, ring)
}

// changeFile runs statements on a database.
func changeFile(r *rapid.T, path string, statements []string) {
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	change(r, db, statements)
}

func change(r *rapid.T, db *sql.DB, statements []string) {
	for _, statement := range statements {
		result, err := db.Exec(statement) //nolint:noctx // rapid has no context
		if err != nil {
			r.Fatal(err)
		}
		if n, _ := result.RowsAffected(); n == 0 && statement[0] != 'A' {
			r.Skip("nothing has changed")
		}
	}
}

// A dialect has the edits that databases have different words for.
type dialect struct {
	// changed is a column with one byte changed.
	changed func(column string, at, value int) string
	// old puts former values back, and what vouched for them.
	old []string
}

func editsOfSQLite(old string) dialect {
	return dialect{
		changed: func(column string, at, value int) string {
			return fmt.Sprintf("CAST(substr(%s, 1, %d) || char(%d) || substr(%[1]s, %d) AS BLOB)", column, at-1, value%127+1, at+1)
		},
		old: []string{
			"ATTACH '" + old + "' AS old",
			"DELETE FROM secret_versions", "INSERT INTO secret_versions SELECT * FROM old.secret_versions",
			"DELETE FROM sealed_state", "INSERT INTO sealed_state SELECT * FROM old.sealed_state",
		},
	}
}

// sealedEdit names an edit, and has its statements.
func sealedEdit(r *rapid.T, d dialect) (string, []string) {
	version := fmt.Sprintf(" WHERE seq = (SELECT seq FROM secret_versions WHERE sealed IS NOT NULL LIMIT 1 OFFSET %d)", rapid.IntRange(0, 3).Draw(r, "version"))
	at, bits := rapid.IntRange(1, 100).Draw(r, "byte"), rapid.IntRange(1, 255).Draw(r, "byte value")
	changed := func(column string) string { return d.changed(column, at, bits) }
	edit := rapid.SampledFrom([]string{"byte", "deleted", "destroyed", "swapped", "added", "id", "sum", "changes", "old values"}).Draw(r, "edit")
	switch edit {
	case "byte":
		return edit, []string{"UPDATE secret_versions SET sealed = " + changed("sealed") + version + " AND sealed <> " + changed("sealed")}
	case "deleted":
		return edit, []string{"DELETE FROM secret_versions" + version}
	case "destroyed":
		return edit, []string{"UPDATE secret_versions SET sealed = NULL, destroyed_at = 1" + version}
	case "swapped":
		return edit, []string{
			"UPDATE secret_versions SET sealed = (SELECT o.sealed FROM secret_versions o WHERE o.sealed IS NOT NULL AND o.seq <> secret_versions.seq LIMIT 1)" + version,
		}
	case "added":
		return edit, []string{"INSERT INTO secret_versions (secret_seq, id, number, set_by, set_at, expires_at, kept_until, destroyed_at, used_at, used_by, sealed) SELECT secret_seq, id, number + 50, set_by, set_at, expires_at, kept_until, destroyed_at, used_at, used_by, sealed FROM secret_versions" + version}
	case "id":
		return edit, []string{"UPDATE secret_versions SET id = 'another'" + version}
	case "sum":
		return edit, []string{"UPDATE sealed_state SET sum = " + changed("sum") + " WHERE sum <> " + changed("sum")}
	case "changes":
		return edit, []string{fmt.Sprintf("UPDATE sealed_state SET changes = changes + %d", bits)}
	}
	return edit, d.old
}
