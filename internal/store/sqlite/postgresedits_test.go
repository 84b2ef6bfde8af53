package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/postgrestest"
)

// openPostgresInside opens a store in a schema, and the schema for somebody else.
func openPostgresInside(t *testing.T, url string) (*Store, *sql.DB) {
	t.Helper()
	at, err := ParseConnectionString(url)
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenPostgres(t.Context(), at, PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*config)
	t.Cleanup(func() {
		_ = db.Close()
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v, want nil", err)
		}
	})
	return s, db
}

func mustExec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// keepTables copies tables under a prefix. It returns the statements that put them back.
func keepTables(t *testing.T, db *sql.DB, prefix string, tables ...string) (back []string) {
	t.Helper()
	for _, table := range tables {
		mustExec(t, db, "DROP TABLE IF EXISTS "+prefix+table, "CREATE TABLE "+prefix+table+" AS TABLE "+table)
		back = append(back, "DELETE FROM "+table, "INSERT INTO "+table+" SELECT * FROM "+prefix+table)
	}
	return back
}

// TestEditsInPostgresAreFound edits the audit tables as TestEditsOfTheDatabaseAreFound does.
func TestEditsInPostgresAreFound(t *testing.T) {
	s, db := openPostgresInside(t, postgrestest.Start(t).Schema(t))
	signer, anchors := fillAudited(t, s)
	if entries, broken := checkStore(t, s, signer, anchors); entries != 10 || len(broken) > 0 {
		t.Fatalf("an unchanged log = %d entries, %v, want 10 entries", entries, broken)
	}
	back := keepTables(t, db, "kept_", "audit", "audit_heads", "audit_keys")
	rapid.Check(t, func(r *rapid.T) {
		defer mustExec(t, db, back...)
		edit := randomEdit(r, db)
		if _, broken := checkStore(t, s, signer, anchors); len(broken) == 0 {
			r.Fatalf("%s: the log counts as unchanged, want %v", edit, audit.ErrBroken)
		}
	})
}

// TestEditsOfSealedValuesInPostgresAreFound edits as TestEditsOfSealedValuesAreFound does.
// The server goes on after each edit, and does not vouch for it.
func TestEditsOfSealedValuesInPostgresAreFound(t *testing.T) {
	s, db := openPostgresInside(t, postgrestest.Start(t).Schema(t))
	tables := []string{"secret_versions", "sealed_state"}
	var old []string
	ring := fillSealed(t, s, func() { old = keepTables(t, db, "old_", tables...) })
	if err := checkSealed(t, s, ring); err != nil {
		t.Fatalf("unchanged values: %v, want nil", err)
	}
	back := keepTables(t, db, "kept_", append(tables, "audit", "audit_heads", "secrets")...)
	back = append([]string{"SET session_replication_role = replica"}, back...)
	back = append(back, "SET session_replication_role = DEFAULT")
	db.SetMaxOpenConns(1)
	d := dialect{old: old, changed: func(column string, at, value int) string {
		return fmt.Sprintf("set_byte(%s, %d %% length(%[1]s), %d)", column, at, value)
	}}
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		defer mustExec(t, db, back...)
		edit, changes := sealedEdit(r, d)
		change(r, db, changes)
		n++
		if n%2 == 0 {
			putSecret(t, s, ring, fmt.Sprint("more_", n), fmt.Sprint("id-more-", n))
		}
		if err := checkSealed(t, s, ring); err == nil {
			r.Fatalf("%s: the values count as unchanged, want %v", edit, audit.ErrBroken)
		}
	})
}

// TestEditsOfEveryColumnInPostgresAreFound as in a file. Somebody edits while the server
// runs, which changes a secret afterwards.
func TestEditsOfEveryColumnInPostgresAreFound(t *testing.T) {
	s, db := openPostgresInside(t, postgrestest.Start(t).Schema(t))
	db.SetMaxOpenConns(1)
	h := &held{t, s, keyring(t, firstKey), "BYTEA"}
	h.fillWatched()
	h.must(checkSealed(t, s, h.ring))
	all := []string{"audit", "audit_heads", "sealed_state"}
	for _, table := range watchedTables {
		all = append(all, table.name)
	}
	back := keepTables(t, db, "kept_", all...)
	back = append([]string{"SET session_replication_role = replica"}, back...)
	for _, table := range watchedTables {
		for _, e := range editsInPostgres(t, db, table.name) {
			tried := 0
			for row := range 5 {
				statement := fmt.Sprintf("%s AND ctid = (SELECT ctid FROM %s ORDER BY 1 LIMIT 1 OFFSET %d)", e.statement, table.name, row) //nolint:gosec // all parts are of this test
				// The triggers run, unless a row that refers to the edited one prevents it.
				mustExec(t, db, "SET session_replication_role = DEFAULT")
				result, err := db.ExecContext(t.Context(), statement)
				if err != nil {
					mustExec(t, db, "SET session_replication_role = replica")
					result, err = db.ExecContext(t.Context(), statement)
				}
				if err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
				if n, err := result.RowsAffected(); n == 0 || err != nil {
					continue
				}
				tried++
				putSecret(t, s, h.ring, "after", fmt.Sprint("id-after-", e.column, row))
				err = checkSealed(t, s, h.ring)
				if unused := slices.Contains(unwatched[table.name], e.column); unused == (err != nil) {
					t.Errorf("%s: checkSealed() = %v, want an error unless it is the last use", statement, err)
				}
				mustExec(t, db, back...)
			}
			if tried == 0 {
				t.Errorf("%s changes no row, so it shows nothing", e.statement)
			}
		}
	}
}

// TestSignaturesMoveToPostgres: the sum of a file is that of its copy, so both databases
// write rows alike. The texts have all characters that JSON writes in another way.
func TestSignaturesMoveToPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	path := filepath.Join(t.TempDir(), "store.db")
	h := &held{t, mustOpen(t, path), keyring(t, firstKey), "BLOB"}
	h.fillWatched()
	texts := []string{"\u2028\u2029\ufffd\U0001f511</script>", strings.Repeat("a", 5000)}
	for c := rune(1); c < 0x180; c++ {
		texts = append(texts, string(c))
	}
	h.must(h.writer.do(t.Context(), survivesPowerLoss, func(t *tx) error {
		_, err := t.exec("UPDATE secrets SET expires_at = 9223372036854775807, created_at = -9223372036854775808")
		for i, text := range texts {
			if err == nil {
				_, err = t.exec("INSERT INTO secret_bindings SELECT $1, $2, min(seq) FROM secrets", text, i)
			}
		}
		return err
	}))
	putSecret(t, h.Store, h.ring, "last", "id-of-last")
	h.must(checkSealed(t, h.Store, h.ring))
	h.must(h.Close())
	at, err := ParseConnectionString(server.Schema(t))
	h.must(err)
	if _, err := CopyToPostgres(t.Context(), path, at, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	s, err := OpenPostgres(t.Context(), at, PostgresOptions{})
	h.must(err)
	defer func() { _ = s.Close() }()
	if err := checkSealed(t, s, h.ring); err != nil {
		t.Errorf("checkSealed() of the copy = %v, want nil", err)
	}
}

type columnEdit struct{ column, statement string }

// editsInPostgres delete rows of a table, and change each of its columns.
func editsInPostgres(t *testing.T, db *sql.DB, table string) []columnEdit {
	t.Helper()
	edits := []columnEdit{{"", "DELETE FROM " + table + " WHERE true"}}
	rows, err := db.QueryContext(t.Context(), "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1", table)
	if err != nil {
		t.Fatal(err)
	}
	if err := drain(rows, func(row scanner) error {
		var column, kind string
		err := row.Scan(&column, &kind)
		change := column + " || 'x'"
		switch kind {
		case "bigint":
			change = column + " + 1000"
		case "bytea":
			change = fmt.Sprintf("set_byte(%s, length(%[1]s) - 1, (get_byte(%[1]s, length(%[1]s) - 1) + 1) %% 256)", column)
		}
		edits = append(edits, columnEdit{column, "UPDATE " + table + " SET " + column + " = " + change + " WHERE " + column + " IS NOT NULL"})
		return err
	}); err != nil || len(edits) < 4 {
		t.Fatalf("%s has the columns %v, %v; want some", table, edits, err)
	}
	return edits
}

// TestForgedSumInPostgresIsNotVouchedFor by the server.
func TestForgedSumInPostgresIsNotVouchedFor(t *testing.T) {
	s, db := openPostgresInside(t, postgrestest.Start(t).Schema(t))
	ring := fillSealed(t, s, func() {})
	forgeSum(t, s, func(query string, args ...any) {
		if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	})
	checkNotVouchedFor(t, s, ring)
}

// TestUndoneChangesAreNotSigned: what a savepoint or a failed transaction has undone is no
// change of the sealed values.
func TestUndoneChangesAreNotSigned(t *testing.T) {
	s, _ := openPostgresInside(t, postgrestest.Start(t).Schema(t))
	ring := fillSealed(t, s, func() {})
	failure := errors.New("no")
	insert := func(t *tx, n int) error {
		var secret, seq int64
		if err := t.row("SELECT max(seq) FROM secrets", nil, &secret); err != nil {
			return err
		}
		return t.row(insertSecretVersion, []any{secret, fmt.Sprint("undone-", n), 1000 + n, "", 0, 0, []byte("x"), ""}, &seq)
	}
	// The second operation joins the transaction of the first, so that a savepoint undoes it.
	var group sync.WaitGroup
	first := &op{durability: survivesPowerLoss, done: make(chan struct{}), run: func(*tx) error {
		group.Go(func() {
			if err := s.writer.do(context.Background(), survivesPowerLoss, func(t *tx) error {
				return errors.Join(insert(t, 1), failure)
			}); !errors.Is(err, failure) {
				t.Errorf("the second operation = %v, want its error", err)
			}
		})
		return nil
	}}
	if err := s.writer.submit(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	if err := s.writer.do(t.Context(), survivesPowerLoss, func(t *tx) error { return errors.Join(insert(t, 2), failure) }); !errors.Is(err, failure) {
		t.Errorf("an operation alone = %v, want its error", err)
	}
	putSecret(t, s, ring, "after", "id-after")
	if err := checkSealed(t, s, ring); err != nil {
		t.Errorf("after operations that failed: %v, want nil", err)
	}
}
