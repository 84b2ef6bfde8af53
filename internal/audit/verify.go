package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
)

// ErrBroken says that a chain is not the one that was written.
var ErrBroken = errors.New("the audit log was changed")

// ErrUnknown says that a chain no longer has the entry of an anchor, as retention has
// dropped it. The anchor proves nothing.
var ErrUnknown = errors.New("the audit log no longer has entry")

// An Anchor names the last entry of a chain that somebody has seen. Kept outside the
// database, it shows that entries were cut off, or that an old copy is in use.
type Anchor struct {
	Number int64  `json:"number"`
	Hash   string `json:"hash"`
}

// String is NUMBER:HASH.
func (a Anchor) String() string { return fmt.Sprintf("%d:%s", a.Number, a.Hash) }

// ParseAnchor reads the form of [Anchor.String].
func ParseAnchor(text string) (Anchor, error) {
	var a Anchor
	if n, err := fmt.Sscanf(text, "%d:%64s", &a.Number, &a.Hash); n != 2 || err != nil || a.String() != text || a.Number < 1 || len(a.Hash) != 2*sha256.Size {
		return Anchor{}, errors.New("an anchor is NUMBER:HASH, as `audit verify` prints it")
	}
	return a, nil
}

// A Verifier checks a chain, entry by entry from the first.
type Verifier struct {
	tenant string
	start  Anchor
	head   Anchor
	seen   map[int64]string
}

// NewVerifier makes a verifier for the chain of a tenant. It remembers the hashes that
// anchors need.
func NewVerifier(tenant string, anchors ...Anchor) *Verifier {
	v := &Verifier{tenant: tenant, seen: map[int64]string{}}
	for _, a := range anchors {
		v.seen[a.Number] = ""
	}
	return v
}

// StartAfter has the chain begin after an entry that was dropped, as a signed [Head] says.
// It must be called before Add.
func (v *Verifier) StartAfter(a Anchor) {
	v.start, v.head = a, a
	if _, ok := v.seen[a.Number]; ok {
		v.seen[a.Number] = a.Hash
	}
}

// Add checks the next link.
func (v *Verifier) Add(l Link) error {
	number := v.head.Number + 1
	if hashOf(l.Entry) != l.Hash {
		return fmt.Errorf("%w: entry %d does not have its hash", ErrBroken, number)
	}
	e, err := l.Read()
	if err != nil {
		return fmt.Errorf("%w: entry %d cannot be read", ErrBroken, number)
	}
	if e.Number != number || e.Previous != v.head.Hash || e.Tenant != v.tenant {
		return fmt.Errorf("%w: entry %d is missing, or is of another place", ErrBroken, number)
	}
	v.head = Anchor{number, l.Hash}
	if _, ok := v.seen[number]; ok {
		v.seen[number] = l.Hash
	}
	return nil
}

// Head is the last entry.
func (v *Verifier) Head() Anchor { return v.head }

// Holds returns an error that matches [ErrBroken] unless the chain has the entry of an
// anchor that [NewVerifier] was given.
func (v *Verifier) Holds(a Anchor) error {
	if a.Number < v.start.Number {
		return fmt.Errorf("%w %d: it was dropped", ErrUnknown, a.Number)
	}
	if v.seen[a.Number] != a.Hash {
		return fmt.Errorf("%w: it does not have the entry %d of the anchor: entries were cut off, or this is an old copy", ErrBroken, a.Number)
	}
	return nil
}

// vouched returns an error that matches [ErrBroken] unless a signed head vouches for the
// chain: it must name the last entry, and one of the keys must have signed it.
func (v *Verifier) vouched(h Head, keys []Key) error {
	switch {
	case h.Tenant != v.tenant || h.Anchor != v.head || h.Start != v.start:
		return fmt.Errorf("%w: its last entry is %d, and the signed head says %d", ErrBroken, v.head.Number, h.Number)
	case h.Broken > 0:
		return fmt.Errorf("%w: when the server wrote entry %d, the entries before it were not those that it had signed", ErrBroken, h.Broken)
	}
	return h.Check(keys)
}

// Holds returns an error that matches [ErrBroken] unless the chain of a tenant has the
// entry of an anchor, as far as a look at this one entry can show.
func Holds(ctx context.Context, s Store, tenant string, a Anchor) error {
	links, err := s.Links(ctx, tenant, a.Number-1, 1)
	if err != nil {
		return err
	}
	head, err := s.SignedHead(ctx, tenant)
	if err != nil {
		return err
	}
	if a.Number <= head.Start.Number {
		return nil // it was dropped
	}
	v := NewVerifier(tenant, a)
	if len(links) == 1 {
		e, err := links[0].Read()
		if err == nil {
			v.StartAfter(Anchor{a.Number - 1, e.Previous})
		}
		if err := v.Add(links[0]); err != nil {
			return err
		}
	}
	return v.Holds(a)
}
