package sqlite

import (
	"errors"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A growth is a chain before and after a transaction.
type growth struct {
	before audit.Anchor
	last   audit.Anchor // its last entry; unless unsure
	unsure bool         // an operation was undone
	head   audit.Head   // without its end and its signature
	signed bool
}

// growing returns a chain that gets more entries. It checks the head that is there.
func (t *tx) growing(tenant string) (*growth, error) {
	w := t.w
	if g, ok := w.signing.grown[tenant]; ok {
		return g, t.surely(g)
	}
	if err := w.checkWritten(t); err != nil {
		return nil, err
	}
	if h, ok := w.signing.written[tenant]; ok {
		g := &growth{before: h.Anchor, last: h.Anchor, head: h}
		w.signing.grow(g)
		return g, nil
	}
	before, err := t.auditHead(tenant)
	if err != nil {
		return nil, err
	}
	g := &growth{before: before, last: before, head: audit.Head{Tenant: tenant}}
	former, err := t.signedHead(tenant)
	missing := errors.Is(err, store.ErrNotFound)
	if err != nil && !missing {
		return nil, err
	}
	g.head.Start, g.head.Broken, g.head.Sealed = former.Start, former.Broken, former.Sealed
	intact, err := t.intact(tenant, former, missing, before)
	if err != nil {
		return nil, err
	}
	if !intact && g.head.Broken == 0 {
		g.head.Broken = before.Number + 1
	}
	w.signing.grow(g)
	return g, nil
}

func (s *signing) grow(g *growth) {
	if s.grown == nil {
		s.grown = map[string]*growth{}
	}
	s.grown[g.head.Tenant] = g
}

// checkWritten forgets the heads that this process has written if another has changed the
// database since.
func (w *writer) checkWritten(t *tx) error {
	s := &w.signing
	if s.checked {
		return nil
	}
	if w.several { // their commits are not counted
		clear(s.written)
		s.checked = true
		return nil
	}
	before := s.writtenAt
	if err := t.row("PRAGMA data_version", nil, &s.writtenAt); err != nil {
		return err
	}
	if s.writtenAt != before {
		clear(s.written)
	}
	s.checked = true
	return nil
}

// surely finds the last entry of a chain again if an operation was undone.
func (t *tx) surely(g *growth) (err error) {
	if g.unsure {
		g.last, err = t.auditHead(g.head.Tenant)
		g.unsure = err != nil
	}
	return err
}

// undone says that entries may be gone with an operation.
func (s *signing) undone() {
	for _, g := range s.grown {
		g.unsure = true
	}
}

// intact reports whether a chain that ends before an entry is the one that was signed.
func (t *tx) intact(tenant string, former audit.Head, missing bool, before audit.Anchor) (bool, error) {
	known, ok := t.w.signing.known[tenant]
	switch {
	case missing:
		return before.Number == 0 && !ok, nil
	case former.Anchor != before:
		return false, nil
	case ok && known == before:
		return true, nil
	}
	if signed := former.Check(t.w.signing.trusted) == nil; !signed || !ok {
		return signed, nil
	}
	// Another process has written, and may have dropped the entry that is known here.
	if start := former.Start; known.Number <= start.Number {
		return known.Number < start.Number || known.Hash == start.Hash, nil
	}
	var hash string
	err := t.row(selectAuditHash, []any{tenant, known.Number}, &hash)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return hash == known.Hash, err
}
