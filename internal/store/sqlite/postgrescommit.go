package sqlite

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// errNotCommitted says that the server has rolled back at a commit.
var errNotCommitted = errors.New("the database has rolled the transaction back")

// othersWrote is always true: it is not known which transactions lie between two of these.
func (s *postgresSession) othersWrote() (bool, error) { return true, nil }

func (s *postgresSession) commit(n notices) error {
	if !s.sent {
		s.finish() // no operation has asked for anything
		return nil
	}
	for _, payload := range s.payloads(n) {
		s.pending = append(s.pending, step{query: "SELECT pg_notify($1, $2)", args: []any{s.p.channel, payload}, into: []any{nil}})
	}
	tag, number := "", s.number
	err := s.exchange("COMMIT", nil, func(rows pgx.Rows) error {
		rows.Close()
		tag = rows.CommandTag().String()
		return nil
	})
	switch {
	case err != nil:
		if err = s.failed(err); errors.Is(err, store.ErrUnavailable) {
			return s.settle(number, err)
		}
		return err
	case tag != "COMMIT":
		return &repeatableError{errNotCommitted}
	}
	s.held.commit()
	s.finish()
	return nil
}

// numberNotGiven is the code for a number of a transaction that is in the future.
const numberNotGiven = "22023"

// settle finds out whether a commit has happened whose answer was lost.
func (s *postgresSession) settle(number int64, lost error) error {
	for repeatable(lost) {
		var status *string
		s.renew()
		lost = s.reconnect()
		if lost == nil {
			lost = s.conn.QueryRow(s.ctx, "SELECT txid_status($1)", number).Scan(&status)
			if failure, ok := errors.AsType[*pgconn.PgError](lost); ok && failure.Code == numberNotGiven {
				lost = nil // a crash has forgotten the transaction, and that it had the number
			} else if lost != nil {
				lost = s.failed(lost)
			} else if status != nil && *status == "in progress" {
				lost = &repeatableError{store.ErrBusy} // the server has not noticed yet
				<-time.After(reconnectDelay)
			}
		}
		switch {
		case lost != nil:
			continue
		case status != nil && *status == "committed":
			s.held.commit()
			s.finish()
			return nil
		default:
			return &repeatableError{fmt.Errorf("%w: the connection was lost before the commit", store.ErrUnavailable)}
		}
	}
	return fmt.Errorf("%w: whether it was written is not known: %w", store.ErrUnavailable, lost)
}

// payloads are the notifications of a commit, if another store may listen.
func (s *postgresSession) payloads(n notices) []string {
	if !s.listener.Load().wanted() {
		return nil
	}
	return n.payloads(s.p.self)
}

// payloads are the notifications of a commit: the sender, a semicolon, and the changes.
// The queue is an asterisk, an execution its id.
func (n notices) payloads(self string) []string {
	var all []string
	var b strings.Builder
	add := func(topic string) {
		if b.Len() > 0 && b.Len()+len(topic) > notifySize {
			all = append(all, b.String())
			b.Reset()
		}
		if b.Len() == 0 {
			b.WriteString(self + ";")
		} else {
			b.WriteByte(',')
		}
		b.WriteString(topic)
	}
	if n.queue {
		add("*")
	}
	seen := map[execution.ID]bool{}
	for _, id := range n.changed {
		if !seen[id] && len(id) < notifySize/2 {
			add(string(id))
		}
		seen[id] = true
	}
	if b.Len() > 0 {
		all = append(all, b.String())
	}
	return all
}
