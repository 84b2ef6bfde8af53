package sqlite

import (
	"errors"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/store"
)

// TestForgottenTransactionIsRepeated: a database that has crashed does not know the number
// of a transaction that it had not written.
func TestForgottenTransactionIsRepeated(t *testing.T) {
	s, db := openPostgresInside(t, postgrestest.Start(t).Schema(t))
	var number int64
	if err := db.QueryRowContext(t.Context(), "SELECT txid_current()").Scan(&number); err != nil {
		t.Fatal(err)
	}
	session := s.writer.session.(*postgresSession)
	for _, c := range []struct {
		what   string
		number int64
		want   bool // repeated
	}{{"that is committed", number, false}, {"that was forgotten", number + 1000, true}} {
		err := s.writer.submit(t.Context(), &op{done: make(chan struct{}), outside: func() error {
			session.since = time.Now()
			return session.settle(c.number, &repeatableError{store.ErrUnavailable})
		}})
		if repeatable(err) != c.want || !c.want && err != nil || c.want && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("settle(a transaction %s) = %v, want repeated: %t", c.what, err, c.want)
		}
	}
}
