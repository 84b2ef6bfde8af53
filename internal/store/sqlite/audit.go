package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

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
		l, err := scanLink(row)
		links = append(links, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return links, nil
}

// scanLink reads a link. One whose entry has another number than its row gets no hash, so
// that no verifier accepts it.
func scanLink(row scanner) (l audit.Link, err error) {
	var number int64
	var text []byte
	if err := row.Scan(&number, &text, &l.Hash); err != nil {
		return l, err
	}
	l.Entry = bytes.Clone(text)
	e, err := l.Read()
	if err != nil {
		l.Entry = []byte(`"unreadable"`) // it must not break the document that it is in
	}
	if err != nil || e.Number != number {
		l.Hash = ""
	}
	return l, nil
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

// appendAudit adds an entry to the chain of its tenant. The head is signed with the commit.
func (t *tx) appendAudit(e audit.Entry) error {
	if t.w.signing.signer == nil {
		before, err := t.auditHead(e.Tenant)
		if err != nil {
			return err
		}
		_, err = t.appendAfter(before, e)
		return err
	}
	g, err := t.growing(e.Tenant)
	if err != nil {
		return err
	}
	before := g.last
	if before.Number == 0 {
		before = g.head.Start // all entries were dropped, or removed
	}
	last, err := t.appendAfter(before, e)
	if err == nil {
		g.last = last
	}
	return err
}

// appendAfter adds an entry, and returns its place in the chain.
func (t *tx) appendAfter(before audit.Anchor, e audit.Entry) (audit.Anchor, error) {
	link, err := audit.Next(before.Number+1, before.Hash, e)
	if err != nil {
		return audit.Anchor{}, err
	}
	err = t.later(insertAudit, e.Tenant, before.Number+1, []byte(link.Entry), link.Hash)
	return audit.Anchor{Number: before.Number + 1, Hash: link.Hash}, err
}

// dropBatch bounds the entries of one transaction of Drop.
const dropBatch = 500

// Drop implements [audit.Store].
func (a auditStore) Drop(ctx context.Context, tenant string, before time.Time, limit int) (n int, err error) {
	err = a.s.writer.submit(ctx, &op{durability: survivesPowerLoss, done: make(chan struct{}), run: func(t *tx) (err error) {
		n, err = dropAudit(t, tenant, before, min(limit, dropBatch))
		return err
	}})
	if err != nil {
		return 0, fmt.Errorf("drop audit entries: %w", err)
	}
	return n, nil
}

func dropAudit(t *tx, tenant string, before time.Time, limit int) (int, error) {
	if t.w.signing.signer == nil {
		return 0, nil
	}
	g, err := t.growing(tenant)
	if err != nil || g.last.Number == 0 {
		return 0, err
	}
	last := g.last
	if g.head.Broken > 0 {
		return 0, audit.ErrBroken // it stays as evidence
	}
	v := audit.NewVerifier(tenant)
	v.StartAfter(g.head.Start)
	through := g.head.Start
	err = t.rows(selectAudit, []any{tenant, through.Number, limit}, func(row scanner) error {
		l, err := scanLink(row)
		if err != nil {
			return err
		}
		if err := v.Add(l); err != nil {
			return err
		}
		e, err := l.Read()
		if err == nil && (!e.Time.Before(before) || v.Head().Number == last.Number) {
			err = errEnough
		}
		if err == nil {
			through = v.Head()
		}
		return err
	})
	if err != nil || through == g.head.Start {
		return 0, err
	}
	n, err := t.exec(deleteAudit, tenant, through.Number)
	if err != nil {
		return 0, err
	}
	former := g.head.Start
	g.head.Start = through
	err = t.appendAudit(audit.Entry{
		Tenant: tenant, Time: t.now.UTC(), Actor: audit.Actor{Kind: "server"}, Action: "dropAuditEntries", Outcome: audit.Done,
		Details: map[string]string{"through": through.String(), "entries": strconv.FormatInt(n, 10)},
	})
	if err != nil {
		g.head.Start = former
	}
	return int(n), err
}
