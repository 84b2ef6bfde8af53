package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const (
	firstKey  = "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	secondKey = "2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
)

func auditSigner(t testing.TB, text string) audit.Signer {
	t.Helper()
	ring, err := vault.FromText([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return audit.NewSigner(ring)
}

func mustAudit(t testing.TB, s *Store, tenant string, n int) {
	t.Helper()
	for i := range n {
		err := s.Audit().Append(t.Context(), audit.Entry{
			Tenant: tenant, Time: time.Unix(int64(i)*1000, 0).UTC(), Actor: audit.Actor{Kind: "person", ID: "u"}, Action: "setSecret",
			Target: "/qc-catalog/secrets/" + strconv.Itoa(i), Outcome: audit.Done, Details: map[string]string{"secret": "api_token"},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// auditedFile makes a database with chains of three tenants: old is signed with a key whose
// version was retired, new has dropped its first entries, and one has a single entry.
func auditedFile(t *testing.T) (path string, signer audit.Signer, anchors map[string]audit.Anchor) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "store.db")
	s := mustOpen(t, path)
	signer, anchors = fillAudited(t, s)
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path, signer, anchors
}

func fillAudited(t *testing.T, s *Store) (signer audit.Signer, anchors map[string]audit.Anchor) {
	t.Helper()
	for _, keys := range []string{firstKey, firstKey + "," + secondKey, secondKey} {
		signer = auditSigner(t, keys)
		if err := s.SignAudit(t.Context(), signer, nil, false); err != nil {
			t.Fatal(err)
		}
		if keys == firstKey {
			mustAudit(t, s, "old", 4)
		}
	}
	mustAudit(t, s, "new", 6)
	mustAudit(t, s, "one", 1)
	if n, err := s.Audit().Drop(t.Context(), "new", time.Unix(2000, 0), 100); n != 2 || err != nil {
		t.Fatalf("Drop() = %d, %v, want 2 entries", n, err)
	}
	due, err := s.Audit().Anchor(t.Context())
	if err != nil || len(due) != 3 {
		t.Fatalf("Anchor() = %d heads, %v, want 3", len(due), err)
	}
	anchors = map[string]audit.Anchor{}
	for _, h := range due {
		anchors[h.Tenant] = h.Anchor
	}
	return signer, anchors
}

func mustOpen(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// checkFile verifies the audit log in a file.
func checkFile(t *testing.T, path string, signer audit.Signer, anchors map[string]audit.Anchor) (entries int64, broken []error) {
	t.Helper()
	s := mustOpen(t, path)
	defer func() { _ = s.Close() }()
	return checkStore(t, s, signer, anchors)
}

func checkStore(t *testing.T, s *Store, signer audit.Signer, anchors map[string]audit.Anchor) (entries int64, broken []error) {
	t.Helper()
	reports, broken, err := audit.CheckAll(t.Context(), s.Audit(), signer, anchors)
	if err != nil {
		broken = append(broken, err)
	}
	for _, r := range reports {
		entries += r.Entries
	}
	return entries, broken
}

// auditColumns are those of the audit tables. anchored is not among them: it marks
// the heads that the file of anchors lacks.
var auditColumns = map[string][]string{
	"audit":       {"tenant_id", "number", "entry", "hash"},
	"audit_heads": {"tenant_id", "number", "hash", "start_number", "start_hash", "broken", "sealed", "key", "signature"},
	"audit_keys":  {"id", "version", "public", "signed_by", "signature"},
}

// TestEditsOfTheDatabaseAreFound edits the audit tables at random: any byte of any value,
// rows that are deleted, repeated or swapped, and an end that is cut off.
func TestEditsOfTheDatabaseAreFound(t *testing.T) {
	t.Parallel()
	path, signer, anchors := auditedFile(t)
	if entries, broken := checkFile(t, path, signer, anchors); entries != 10 || len(broken) > 0 {
		t.Fatalf("an unchanged log = %d entries, %v, want 10 entries", entries, broken)
	}
	edited := filepath.Join(t.TempDir(), "edited.db")
	rapid.Check(t, func(r *rapid.T) {
		copyFile(t, path, edited)
		edit := editAuditIn(r, edited)
		if _, broken := checkFile(t, edited, signer, anchors); len(broken) == 0 {
			r.Fatalf("%s: the log counts as unchanged, want %v", edit, audit.ErrBroken)
		}
	})
}

// editAuditIn changes the audit tables of the database at path, and says how.
func editAuditIn(r *rapid.T, path string) string {
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	return randomEdit(r, db)
}

// numbered gives the question marks of a query numbers, which all databases know.
func numbered(query string) string {
	for n := 1; strings.Contains(query, "?"); n++ {
		query = strings.Replace(query, "?", "$"+strconv.Itoa(n), 1)
	}
	return query
}

// randomEdit changes a database, and says how.
func randomEdit(r *rapid.T, db *sql.DB) string {
	run := func(query string, args ...any) string {
		result, err := db.ExecContext(context.Background(), numbered(query), args...)
		if err != nil {
			r.Skip(err) // a value that the schema refuses
		}
		if n, _ := result.RowsAffected(); n == 0 {
			r.Skip("nothing has changed")
		}
		return fmt.Sprint(query, args)
	}
	tenant := rapid.SampledFrom([]string{"old", "new", "one"}).Draw(r, "tenant")
	first, last := 1, map[string]int{"old": 4, "new": 7, "one": 1}[tenant]
	if tenant == "new" {
		first = 3
	}
	number := rapid.IntRange(first, last).Draw(r, "number")
	switch rapid.SampledFrom([]string{"byte", "row", "swap", "move", "cut", "head", "repeat"}).Draw(r, "edit") {
	case "row":
		return run("DELETE FROM audit WHERE tenant_id = ? AND number = ?", tenant, number)
	case "swap":
		other := rapid.IntRange(first, last).Draw(r, "other")
		if other == number {
			r.Skip("the same entry")
		}
		run("UPDATE audit SET number = 1000 WHERE tenant_id = ? AND number = ?", tenant, number)
		run("UPDATE audit SET number = ? WHERE tenant_id = ? AND number = ?", number, tenant, other)
		return run("UPDATE audit SET number = ? WHERE tenant_id = ? AND number = 1000", other, tenant)
	case "move":
		return run("UPDATE audit SET tenant_id = 'another' WHERE tenant_id = ? AND number = ?", tenant, number)
	case "repeat":
		to := rapid.SampledFrom([]string{"old", "new", "one", "another"}).Draw(r, "to")
		return run("INSERT INTO audit SELECT ?, 1 + (SELECT coalesce(max(number), 0) FROM audit WHERE tenant_id = ?), entry, hash FROM audit WHERE tenant_id = ? AND number = ?", to, to, tenant, number)
	case "cut":
		return run("DELETE FROM audit WHERE tenant_id = ? AND number >= ?", tenant, number)
	case "head":
		table := rapid.SampledFrom([]string{"audit_heads", "audit_keys"}).Draw(r, "table")
		row := rapid.IntRange(0, 1).Draw(r, "row")
		key := map[string]string{"audit_heads": "tenant_id", "audit_keys": "id"}[table]
		return run("DELETE FROM "+table+" WHERE "+key+" = (SELECT "+key+" FROM "+table+" ORDER BY "+key+" LIMIT 1 OFFSET ?)", row)
	}
	return changeByte(r, db, run)
}

// changeByte changes one byte of one value.
func changeByte(r *rapid.T, db *sql.DB, run func(string, ...any) string) string {
	table := rapid.SampledFrom([]string{"audit", "audit", "audit_heads", "audit_keys"}).Draw(r, "table")
	column := rapid.SampledFrom(auditColumns[table]).Draw(r, "column")
	keys := auditColumns[table][:1]
	if table == "audit" {
		keys = auditColumns[table][:2]
	}
	var rows int
	if err := db.QueryRowContext(context.Background(), "SELECT count(*) FROM "+table).Scan(&rows); err != nil {
		r.Fatal(err)
	}
	row := rapid.IntRange(0, rows-1).Draw(r, "row")
	key := make([]any, len(keys))
	into := make([]any, len(keys), len(keys)+2)
	for i := range key {
		into[i] = &key[i]
	}
	var former any
	places := strings.Join(keys, ", ")
	query := "SELECT " + places + ", " + column + " FROM " + table + " ORDER BY " + places + " LIMIT 1 OFFSET ?"
	if err := db.QueryRowContext(context.Background(), numbered(query), row).Scan(append(into, &former)...); err != nil {
		r.Fatal(err)
	}
	var value []byte
	switch former := former.(type) {
	case int64:
		value = strconv.AppendInt(nil, former, 10)
	case string:
		value = []byte(former)
	case []byte:
		value = bytes.Clone(former)
	}
	if len(value) == 0 {
		value = []byte{0}
	}
	at := rapid.IntRange(0, len(value)-1).Draw(r, "byte")
	value[at] ^= byte(rapid.IntRange(1, 255).Draw(r, "bits"))
	var changed any = value
	switch former.(type) {
	case int64:
		number, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			number = int64(value[at]) + 1000
		}
		changed = number
	case string:
		changed = string(value)
	}
	return run("UPDATE "+table+" SET "+column+" = ? WHERE ("+strings.Join(keys, ", ")+") = (SELECT "+strings.TrimSuffix(strings.Repeat("?, ", len(keys)), ", ")+")", append([]any{changed}, key...)...)
}

// TestOldCopyIsFound by an anchor from outside, and only by one.
func TestOldCopyIsFound(t *testing.T) {
	t.Parallel()
	path, signer, anchors := auditedFile(t)
	old := filepath.Join(t.TempDir(), "old.db")
	copyFile(t, path, old)
	s := mustOpen(t, path)
	if err := s.SignAudit(t.Context(), signer, anchors, false); err != nil {
		t.Fatal(err)
	}
	mustAudit(t, s, "one", 1)
	due, err := s.Audit().Anchor(t.Context())
	if err != nil || len(due) != 1 || due[0].Number != 2 {
		t.Fatalf("Anchor() = %v, %v, want the second entry of one", due, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, broken := checkFile(t, old, signer, nil); len(broken) > 0 {
		t.Fatalf("an old copy without an anchor: %v, want nothing: only an anchor shows it", broken)
	}
	anchors["one"] = due[0].Anchor
	if _, broken := checkFile(t, old, signer, anchors); len(broken) != 1 || !errors.Is(broken[0], audit.ErrBroken) {
		t.Fatalf("an old copy with an anchor: %v, want %v", broken, audit.ErrBroken)
	}
	// A server that begins with the old copy knows it, and never vouches for it again.
	s = mustOpen(t, old)
	if err := s.SignAudit(t.Context(), signer, anchors, false); err != nil {
		t.Fatal(err)
	}
	mustAudit(t, s, "one", 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, broken := checkFile(t, old, signer, nil); len(broken) != 1 {
		t.Fatalf("an old copy that a server has used: %v, want an error about one account", broken)
	}
}

// TestForgedChainIsNotVouchedFor changes an entry and makes all hashes after it again. The
// next entry of the server does not make it valid.
func TestForgedChainIsNotVouchedFor(t *testing.T) {
	t.Parallel()
	path, signer, _ := auditedFile(t)
	s := mustOpen(t, path)
	if err := s.SignAudit(t.Context(), signer, nil, false); err != nil {
		t.Fatal(err)
	}
	mustAudit(t, s, "one", 1)
	links, err := s.Audit().Links(t.Context(), "one", 0, 10)
	if err != nil || len(links) != 2 {
		t.Fatalf("Links() = %d, %v, want 2", len(links), err)
	}
	previous := ""
	for i, l := range links {
		e, err := l.Read()
		if err != nil {
			t.Fatal(err)
		}
		e.Actor.ID = "somebody else"
		forged, err := audit.Next(int64(i+1), previous, e)
		if err != nil {
			t.Fatal(err)
		}
		previous = forged.Hash
		if err := s.writer.do(t.Context(), survivesPowerLoss, func(t *tx) error {
			_, err := t.exec("UPDATE audit SET entry = $1, hash = $2 WHERE tenant_id = 'one' AND number = $3", []byte(forged.Entry), forged.Hash, i+1)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	mustAudit(t, s, "one", 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, broken := checkFile(t, path, signer, nil); len(broken) != 1 || !strings.Contains(broken[0].Error(), "entry 3") {
		t.Fatalf("a forged chain that has grown: %v, want an error about entry 3", broken)
	}
}

// TestFailedSignatureFailsTheChange and leaves nothing of it.
func TestFailedSignatureFailsTheChange(t *testing.T) {
	t.Parallel()
	s := openInside(t)
	ring, err := vault.FromText([]byte(firstKey))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SignAudit(t.Context(), audit.NewSigner(ring), nil, true); err != nil {
		t.Fatal(err)
	}
	mustAudit(t, s, "t", 1)
	ring.Clear()
	if err := s.Audit().Append(t.Context(), audit.Entry{Tenant: "t", Action: "x"}); err == nil {
		t.Error("Append() without a key = nil, want an error")
	}
	if head, err := s.Audit().Head(t.Context(), "t"); err != nil || head.Number != 1 {
		t.Errorf("Head() = %v, %v, want the first entry", head, err)
	}
}

// TestUseIsWrittenWithTheChange that is not durable itself, or neither is.
func TestUseIsWrittenWithTheChange(t *testing.T) {
	t.Parallel()
	s := openInside(t)
	if err := s.SignAudit(t.Context(), auditSigner(t, firstKey), nil, true); err != nil {
		t.Fatal(err)
	}
	ctx := audit.WithUses(t.Context(), audit.Entry{Tenant: "a", Action: "readSecrets"}, audit.Entry{Tenant: "b", Action: "readSecrets"})
	failure := errors.New("no")
	for _, want := range []error{nil, failure} {
		err := s.writer.do(ctx, survivesCrash, func(*tx) error { return want })
		if !errors.Is(err, want) {
			t.Fatalf("do() = %v, want %v", err, want)
		}
	}
	for _, tenant := range []string{"a", "b"} {
		head, err := s.Audit().SignedHead(t.Context(), tenant)
		if err != nil || head.Number != 1 || head.Key == "" {
			t.Errorf("SignedHead(%s) = %+v, %v, want that of one entry", tenant, head, err)
		}
	}
}

// BenchmarkAudit measures a commit with an entry, without one, and with one that is not
// signed.
func BenchmarkAudit(b *testing.B) {
	for _, kind := range []string{"none", "unsigned", "signed"} {
		b.Run(kind, func(b *testing.B) {
			s := mustOpen(b, filepath.Join(b.TempDir(), "store.db"))
			defer func() { _ = s.Close() }()
			if kind == "signed" {
				if err := s.SignAudit(b.Context(), auditSigner(b, firstKey), nil, true); err != nil {
					b.Fatal(err)
				}
			}
			ctx := b.Context()
			if kind != "none" {
				ctx = audit.WithUses(ctx, audit.Entry{Tenant: "t", Action: "readSecrets", Time: time.Now(), Details: map[string]string{"secrets": strings.Repeat("api_token: version 1; ", 10)}})
			}
			for b.Loop() {
				if err := s.writer.do(ctx, survivesCrash, func(t *tx) error {
					_, err := t.exec(updateVersionUsed, 1, "x", 1)
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
