// Package audit records each change on a platform, with the caller that has made it. Each
// tenant has a chain of entries: an entry names the hash of the one before, so that a
// [Verifier] finds an entry that was changed, removed or moved.
//
// A request carries a [Record] in its context. The store writes the entry in the
// transaction of the change, so there is no change without its entry, and no entry
// without its change:
//
//	ctx = audit.With(ctx, audit.NewRecord(entry))
//	audit.Note(ctx, "service", id) // before the change
//	err := store.DeleteService(ctx, id)
//
// An entry has names and ids, never values of secrets.
package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"
)

// An Outcome says how an action has ended.
type Outcome string

// The outcomes.
const (
	Done   Outcome = "DONE"
	Denied Outcome = "DENIED"
)

// An Entry is one action of a caller.
type Entry struct {
	Tenant string `json:"tenant"`
	// Number counts the entries of the tenant, from 1.
	Number int64     `json:"number"`
	Time   time.Time `json:"time"`
	Actor  Actor     `json:"actor"`
	// Action is the id of the operation, such as delete-service.
	Action string `json:"action"`
	// Target is the path of the request.
	Target  string            `json:"target"`
	Outcome Outcome           `json:"outcome"`
	Details map[string]string `json:"details,omitempty"`
	// Previous is the hash of the entry before, in hexadecimal; empty in the first.
	Previous string `json:"previous"`
}

// An Actor is a caller, named by ids.
type Actor struct {
	Kind string `json:"kind"`
	ID   string `json:"id,omitempty"`
	// Credential is the id of the token or access key that it has shown.
	Credential string `json:"credential,omitempty"`
}

// A Link is an entry in its chain.
type Link struct {
	// Entry is the JSON document of the entry. Its hash is of these bytes.
	Entry json.RawMessage `json:"entry"`
	// Hash is SHA-256 of Entry, in hexadecimal.
	Hash string `json:"hash"`
}

// Read reads the entry of a link.
func (l Link) Read() (Entry, error) {
	var e Entry
	err := json.Unmarshal(l.Entry, &e)
	return e, err
}

// Next makes the link of an entry that follows another one. The zero value is before the
// first.
func Next(number int64, previous string, e Entry) (Link, error) {
	e.Number, e.Previous = number, previous
	text, err := json.Marshal(e)
	if err != nil {
		return Link{}, fmt.Errorf("write an audit entry: %w", err)
	}
	return Link{Entry: text, Hash: hashOf(text)}, nil
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// A Store keeps the chains of tenants. It writes the entry of a [Record] with the change
// whose context carries it.
type Store interface {
	// Append adds an entry to the chain of its tenant. It is durable when it returns.
	Append(ctx context.Context, e Entry) error
	// Head names the last entry of a chain; the zero value: it has none.
	Head(ctx context.Context, tenant string) (Anchor, error)
	// Links are those after a number, the oldest first.
	Links(ctx context.Context, tenant string, after int64, limit int) ([]Link, error)
}

// ErrBroken says that a chain is not the one that was written.
var ErrBroken = errors.New("the audit log was changed")

// An Anchor names the last entry of a chain that somebody has seen. Kept outside the
// database, it shows that entries were cut off, or that an old copy is in use.
type Anchor struct {
	Number int64
	Hash   string
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
	if v.seen[a.Number] != a.Hash {
		return fmt.Errorf("%w: it does not have the entry %d of the anchor: entries were cut off, or this is an old copy", ErrBroken, a.Number)
	}
	return nil
}

// A Record is the entry of one request, which is written once.
type Record struct {
	mu      sync.Mutex
	entry   Entry
	written bool
}

// NewRecord makes a record of an entry without a number.
func NewRecord(e Entry) *Record { return &Record{entry: e} }

// Entry returns the entry, if it is still to be written.
func (r *Record) Entry() (Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry
	e.Details = maps.Clone(e.Details)
	return e, !r.written
}

// Written notes that a change with this entry is durable.
func (r *Record) Written() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written = true
}

type contextKey struct{}

// With returns a context in which changes write a record.
func With(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// From returns the record of a context, or nil.
func From(ctx context.Context) *Record {
	r, _ := ctx.Value(contextKey{}).(*Record)
	return r
}

// In has the entry of a request stand in the chain of a tenant other than the one that
// the caller acts for.
func In(ctx context.Context, tenant string) {
	if r := From(ctx); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.entry.Tenant = tenant
	}
}

// Note adds a name or an id to the entry of a request. It has no effect in a context
// without a record.
func Note(ctx context.Context, name, value string) {
	r := From(ctx)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entry.Details == nil {
		r.entry.Details = map[string]string{}
	}
	const most = 200 // names are shorter
	r.entry.Details[name] = string(bytes.ToValidUTF8([]byte(value[:min(len(value), most)]), nil))
}
