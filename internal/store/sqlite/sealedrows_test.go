package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// unwatched are columns that change without an audit entry, and mean nothing but when
// something was last used.
var unwatched = map[string][]string{"secrets": {"used_at"}, "secret_versions": {"used_at", "used_by"}, "access_keys": {"used_at"}}

// watchedFile makes a database with rows in all tables that the sum covers, each of which
// was changed.
func watchedFile(t *testing.T) (path string, ring *vault.Keyring) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "store.db")
	h := &held{t, mustOpen(t, path), keyring(t, firstKey), "BLOB"}
	h.fillWatched()
	h.must(h.Scrub(t.Context()))
	h.must(h.Close())
	return path, h.ring
}

// fillWatched makes rows in all tables that the sum covers, and changes each.
func (h *held) fillWatched() {
	h.Helper()
	t := h.T
	h.must(h.SignAudit(t.Context(), audit.NewSigner(h.ring), nil, true))
	h.must(h.CreateService(t.Context(), registry.Service{ID: "s", Tenant: "t", Name: "n"}, h.version("v", "a1")))
	for i := range 4 {
		putSecret(t, h.Store, h.ring, fmt.Sprint("secret_", i%3), fmt.Sprint("id-", i))
	}
	ctx := audit.With(t.Context(), audit.NewRecord(audit.Entry{Tenant: "t", Action: "change"}))
	for i := range 3 {
		place := secretstore.Place{Kind: secretstore.OfTenant, Tenant: "t", Name: fmt.Sprint("secret_", i)}
		h.must(h.Store.Secrets().Bind(ctx, place, secretstore.Binding{Service: "s", Parameter: fmt.Sprint("p", i)}, 10))
		h.must(h.Store.Secrets().SetHook(ctx, place, secretstore.Hook{Command: "c", Every: time.Hour, SetBy: "u"}, time.Now()))
	}
	h.must(h.Store.Secrets().Delete(ctx, secretstore.Place{Kind: secretstore.OfTenant, Tenant: "t", Name: "secret_2"}, 0, time.Now()))
	h.insert("INSERT INTO stored_secrets (tenant_id, name, sealed, changed_at) VALUES ('t', 'provider/IBM', $1, 1)", vault.SecretOwner("t", "provider/IBM"))
	h.insert("INSERT INTO tenants VALUES ('t', 'USER', 'n', '', '', '', 1)")
	h.insert("INSERT INTO applications VALUES ('a', 't', 'n', 1)")
	h.insert("INSERT INTO access_keys VALUES (1, 'k', 'a', CAST('12' AS "+h.blob+"), $1, 5, 6, 7, 8)", vault.AccessKeyOwner("k"))
	h.insert("INSERT INTO signing_keys VALUES (1, 'k', CAST('12' AS "+h.blob+"), $1, 5)", vault.SigningKeyOwner("k"))
	h.want("v", "SECRET_A value a1")
}

// insert adds a row, with a sealed value of an owner.
func (h *held) insert(query string, owner ...vault.Owner) {
	h.Helper()
	h.must(h.writer.do(h.Context(), survivesPowerLoss, func(t *tx) error {
		var args []any
		for _, o := range owner {
			sealed, err := h.ring.Seal(o, vault.Secrets{"a": plaintext.FromString("b")})
			if err != nil {
				return err
			}
			args = append(args, []byte(sealed))
		}
		_, err := t.exec(query, args...)
		return err
	}))
}

// columnsOf are the columns of the tables that have stored secrets or long-lived sealed
// values, with their types, as the database has them.
func columnsOf(t *testing.T, path string) (columns map[string]map[string]string) {
	t.Helper()
	s := mustOpen(t, path)
	defer func() { _ = s.Close() }()
	columns = map[string]map[string]string{}
	err := s.read(t.Context(), `SELECT m.name, c.name, c.type FROM sqlite_schema m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND (m.name LIKE 'secret%' OR m.name IN (SELECT x.name FROM sqlite_schema x JOIN pragma_table_info(x.name) y WHERE y.name = 'sealed'))
		AND m.name NOT IN ('audit_heads', 'execution_secrets')`, nil, func(row scanner) error {
		var table, column, kind string
		err := row.Scan(&table, &column, &kind)
		if columns[table] == nil {
			columns[table] = map[string]string{}
		}
		columns[table][column] = kind
		return err
	})
	if err != nil || len(columns) != len(watchedTables) {
		t.Fatalf("the tables are %v, %v, want those that the sum covers", columns, err)
	}
	return columns
}

// TestEditsOfEveryColumnAreFound changes each column of rows, and deletes rows, in each
// table of stored secrets and sealed values.
func TestEditsOfEveryColumnAreFound(t *testing.T) {
	t.Parallel()
	path, ring := watchedFile(t)
	columns, edited := columnsOf(t, path), filepath.Join(t.TempDir(), "edited.db")
	check := func() error {
		s := mustOpen(t, edited)
		defer func() { _ = s.Close() }()
		use, err := store.FindSealed(t.Context(), s, ring)
		if err == nil && len(use.Damaged)+len(use.Missing) > 0 {
			err = audit.ErrBroken
		}
		return errors.Join(err, s.CheckSealed(t.Context(), audit.NewSigner(ring)))
	}
	copyFile(t, path, edited)
	if err := check(); err != nil {
		t.Fatalf("unchanged rows: %v, want nil", err)
	}
	var edits []string
	for table, all := range columns {
		edits = append(edits, "DELETE FROM "+table+" WHERE true")
		for column, kind := range all {
			change := column + " || 'x'"
			switch kind {
			case "INTEGER":
				change = column + " + 1000"
			case "BLOB":
				change = "CAST(substr(" + column + ", 1, length(" + column + ") - 1) || 'x' AS BLOB)"
			}
			edits = append(edits, "UPDATE "+table+" SET "+column+" = "+change+" WHERE "+column+" IS NOT "+change)
		}
	}
	slices.Sort(edits)
	for _, edit := range edits {
		var table, column string
		if _, err := fmt.Sscanf(edit, "UPDATE %s SET %s =", &table, &column); err != nil {
			_, _ = fmt.Sscanf(edit, "DELETE FROM %s", &table)
		}
		key := "rowid"
		if table == "secret_bindings" {
			key = "parameter"
		}
		tried := 0
		for row := range 5 {
			statement := fmt.Sprintf("%s AND %s = (SELECT %[2]s FROM %s ORDER BY 1 LIMIT 1 OFFSET %d)", edit, key, table, row)
			copyFile(t, path, edited)
			if !editFile(t, edited, statement) {
				continue
			}
			tried++
			err := check()
			if slices.Contains(unwatched[table], column) {
				if err != nil {
					t.Errorf("%s: %v, want nil: it is the last use", statement, err)
				}
			} else if err == nil {
				t.Errorf("%s: the rows count as unchanged, want %v", statement, audit.ErrBroken)
			}
		}
		if tried == 0 {
			t.Errorf("%s changes no row, so it shows nothing", edit)
		}
	}
}

// editFile changes a database, and reports whether a row is another.
func editFile(t *testing.T, path, statement string) bool {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	result, err := db.ExecContext(t.Context(), statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	n, err := result.RowsAffected()
	return n > 0 && err == nil
}

// TestSumsOfFormerProgramsAreRaised has the sum cover whole rows when a server of this
// program signs first, unless the values were changed before.
func TestSumsOfFormerProgramsAreRaised(t *testing.T) {
	t.Parallel()
	for _, changed := range []bool{false, true} {
		path, ring := watchedFile(t)
		s, signer := mustOpen(t, path), audit.NewSigner(ring)
		t.Cleanup(func() { _ = s.Close() })
		do := func(run func(*tx) error) {
			t.Helper()
			if err := s.writer.do(t.Context(), survivesPowerLoss, run); err != nil {
				t.Fatal(err)
			}
		}
		do(func(tx *tx) error {
			sum, err := tx.sealedSum(1)
			if err != nil {
				return err
			}
			state, err := tx.sealedState()
			if err != nil {
				return err
			}
			return tx.writeSealed(audit.Sealed{Form: 1, Changes: state.Changes, Sum: sum}, signer)
		})
		if err := s.CheckSealed(t.Context(), signer); err != nil {
			t.Errorf("CheckSealed(form 1) = %v, want nil", err)
		}
		if changed {
			do(func(tx *tx) error {
				_, err := tx.exec("DELETE FROM secret_versions WHERE seq = (SELECT max(seq) FROM secret_versions WHERE sealed IS NOT NULL)")
				return err
			})
		}
		if err := s.SignAudit(t.Context(), signer, nil, false); err != nil {
			t.Fatal(err)
		}
		putSecret(t, s, ring, "later", "later")
		if err := s.CheckSealed(t.Context(), signer); changed != errors.Is(err, audit.ErrBroken) {
			t.Errorf("CheckSealed(raised, changed before: %t) = %v", changed, err)
		}
		var form int
		do(func(tx *tx) error { return tx.row("SELECT form FROM sealed_state", nil, &form) })
		if want := map[bool]int{false: audit.SealedForm, true: 1}[changed]; form != want {
			t.Errorf("the form is %d, want %d", form, want)
		}
	}
}

// TestRepeatedMovesLeaveNoSet of former programs behind, where each transaction runs twice.
func TestRepeatedMovesLeaveNoSet(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	for _, name := range []string{"provider/IBM", "provider/AWS", "provider/OTHER"} {
		h.insert("INSERT INTO stored_secrets (tenant_id, name, sealed, changed_at) VALUES ('t', '"+name+"', $1, 1)", vault.SecretOwner("t", name))
	}
	h.must(h.RepeatGroups(t.Context()))
	moved, err := h.MoveFormerSecrets(t.Context(), func(f secretstore.FormerSet) ([]secretstore.NewVersion, error) {
		place := secretstore.ForProvider(f.Tenant, f.Provider)
		sealed, err := h.ring.Seal(place.Owner("id-"+f.Provider), secretstore.Sealable(plaintext.FromString("token")))
		return []secretstore.NewVersion{{Place: place, ID: "id-" + f.Provider, Sealed: sealed, Override: secretstore.OverrideNone}}, err
	})
	if moved != 3 || err != nil {
		t.Errorf("MoveFormerSecrets() = %d, %v, want 3 sets", moved, err)
	}
	if tokens, err := h.Access().ProviderTokens(t.Context(), "t"); len(tokens) != 3 || err != nil {
		t.Errorf("ProviderTokens() = %d, %v, want 3", len(tokens), err)
	}
	h.must(h.CheckSealed(t.Context(), audit.NewSigner(h.ring)))
}
