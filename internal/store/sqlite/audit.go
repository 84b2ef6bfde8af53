package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Audit returns the part of the store that keeps the chains of audit entries.
func (s *Store) Audit() audit.Store { return auditStore{s} }

type auditStore struct{ s *Store }

// Append implements [audit.Store].
func (a auditStore) Append(ctx context.Context, e audit.Entry) error {
	err := a.s.writer.submit(ctx, &op{
		durability: survivesPowerLoss, done: make(chan struct{}),
		run: func(t *tx) error { return t.appendAudit(e) },
	})
	if err != nil {
		return fmt.Errorf("write an audit entry: %w", err)
	}
	return nil
}

// Head implements [audit.Store].
func (a auditStore) Head(ctx context.Context, tenant string) (audit.Anchor, error) {
	var head audit.Anchor
	err := a.s.readOne(ctx, selectAuditHead, []any{tenant}, &head.Number, &head.Hash)
	if errors.Is(err, store.ErrNotFound) {
		return audit.Anchor{}, nil
	}
	if err != nil {
		return head, fmt.Errorf("read the audit log: %w", err)
	}
	return head, nil
}

// Links implements [audit.Store].
func (a auditStore) Links(ctx context.Context, tenant string, after int64, limit int) ([]audit.Link, error) {
	links := []audit.Link{}
	err := a.s.read(ctx, selectAudit, []any{tenant, after, limit}, func(row scanner) error {
		var l audit.Link
		var text []byte
		err := row.Scan(&text, &l.Hash)
		l.Entry = text
		links = append(links, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return links, nil
}

// audited is an operation that writes its audit entry too. If that fails, so does the
// operation.
func audited(run func(*tx) error, e audit.Entry) func(*tx) error {
	return func(t *tx) error {
		if err := run(t); err != nil {
			return err
		}
		e.Tenant = cmp.Or(e.Tenant, t.auditIn)
		if err := t.appendAudit(e); err != nil {
			return fmt.Errorf("write the audit entry: %w", err)
		}
		return nil
	}
}

// appendAudit adds an entry to the chain of its tenant.
func (t *tx) appendAudit(e audit.Entry) error {
	var number int64
	var previous string
	err := t.row(selectAuditHead, []any{e.Tenant}, &number, &previous)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	link, err := audit.Next(number+1, previous, e)
	if err != nil {
		return err
	}
	_, err = t.exec(insertAudit, e.Tenant, number+1, []byte(link.Entry), link.Hash)
	return err
}
