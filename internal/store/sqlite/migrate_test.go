package sqlite

import (
	"database/sql"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// TestOldLogs reads and continues a log that has one row for each line, the
// form before parts.
func TestOldLogs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	id := execution.NewID()
	at := time.UnixMicro(1769860800123456).UTC()
	want := []store.LogLine{
		{Sequence: 1, Entry: execution.LogEntry{Message: "first", Severity: execution.Info, Timestamp: at}},
		{Sequence: 2, Entry: execution.LogEntry{Message: "naïve\n two", Severity: execution.Error, Timestamp: at}},
		{Sequence: 3, Entry: execution.LogEntry{Message: "", Severity: execution.Debug, Timestamp: at}},
		{Sequence: 4, Entry: execution.LogEntry{Message: "new", Severity: execution.Notice, Timestamp: at}},
	}
	writeOldLog(t, path, id, want[:3])
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if last, err := s.AppendLog(t.Context(), id, want[3].Entry); err != nil || last != 4 {
		t.Errorf("AppendLog() = line %d, %v, want 4", last, err)
	}
	if got, err := s.ReadLog(t.Context(), id, 0, 100); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ReadLog() = %+v, %v, want %+v", got, err, want)
	}
}

// writeOldLog makes a store in the form before parts of logs.
func writeOldLog(t *testing.T, path string, id execution.ID, lines []store.LogLine) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "foreign_keys(on)"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	provider, err := newMigrator(db)
	if err == nil {
		_, err = provider.UpTo(t.Context(), 3)
	}
	if err == nil {
		_, err = db.ExecContext(t.Context(), `INSERT INTO executions
			(seq, id, service_id, service_revision, status, type, created_at, tags, service_definition_id, application_id)
			VALUES (7, $1, 's', 'r', 'RUNNING', 'MANAGED', 0, '', '', '')`, string(id))
	}
	for _, line := range lines {
		if err == nil {
			_, err = db.ExecContext(t.Context(), `INSERT INTO execution_logs VALUES (7, $1, $2, $3, $4)`,
				line.Sequence, string(line.Entry.Severity), micros(line.Entry.Timestamp), line.Entry.Message)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOldExecutionsInLists lists executions that an older program has accepted, by what it
// had no index for.
func TestOldExecutionsInLists(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	db, err := sql.Open("sqlite", dsn(path, "foreign_keys(on)"))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := newMigrator(db)
	if err == nil {
		_, err = provider.UpTo(t.Context(), 93)
	}
	for _, statement := range []string{
		`INSERT INTO executions (seq, id, service_id, service_revision, status, type, created_at, ended_at, tags, service_definition_id, application_id, tenant_id) VALUES
			(1, 'one', 's', 'r', 'FAILED', 'MANAGED', 100, 200, '["red"]', '', 'a', 't'),
			(2, 'two', 's', 'r', 'SUCCEEDED', 'MANAGED', 101, 201, '["red"]', '', '', 't'),
			(3, 'three', 's', 'r', 'FAILED', 'MANAGED', 102, 202, '["red"]', '', '', 'other'),
			(4, 'four', 's', 'r', 'PENDING', 'MANAGED', 103, NULL, '', '', '', 't')`,
		`INSERT INTO execution_tags (service_id, tag, execution_seq) VALUES ('s', 'red', 1), ('s', 'red', 2), ('s', 'red', 3)`,
	} {
		if err == nil {
			_, err = db.ExecContext(t.Context(), statement)
		}
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for name, test := range map[string]struct {
		q    store.CallerQuery
		want []execution.ID
	}{
		"all":         {store.CallerQuery{Application: "*"}, []execution.ID{"four", "two", "one"}},
		"failed":      {store.CallerQuery{Application: "*", Statuses: []string{"FAILED"}}, []execution.ID{"one"}},
		"pending":     {store.CallerQuery{Application: "*", Statuses: []string{"PENDING"}}, []execution.ID{"four"}},
		"tagged":      {store.CallerQuery{Application: "*", Tags: []string{"red"}}, []execution.ID{"two", "one"}},
		"application": {store.CallerQuery{Application: "a"}, []execution.ID{"one"}},
	} {
		test.q.Tenant, test.q.Limit = "t", 10
		list, total, err := s.ListOfCaller(t.Context(), test.q)
		var got []execution.ID
		for _, e := range list {
			got = append(got, e.ID)
		}
		if err != nil || total != len(test.want) || !slices.Equal(got, test.want) {
			t.Errorf("ListOfCaller(%s) = %q of %d, %v, want %q", name, got, total, err, test.want)
		}
	}
}
