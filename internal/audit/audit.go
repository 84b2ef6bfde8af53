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
//
// # What vouches for a chain
//
// With each commit a [Signer] signs the [Head] of each chain that has grown, with a key
// that the master key makes. An attacker with access to the database, and without
// the master key, cannot make a chain with a valid head. An older chain with its head is
// valid, too: only an [Anchor], kept outside the database, shows that entries were cut
// off or that the database is an old copy. [Anchors] keeps them in a file.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	// SignedHead is what vouches for a chain; the zero value: nothing does.
	SignedHead(ctx context.Context, tenant string) (Head, error)
	// Heads are those of all tenants, by tenant, and Tenants are all that have entries or
	// a head.
	Heads(ctx context.Context) ([]Head, error)
	Tenants(ctx context.Context) ([]string, error)
	// Keys are the keys that have signed heads, and whether there has been one.
	Keys(ctx context.Context) ([]Key, error)
	// Anchor returns the heads that have changed since the last call.
	Anchor(ctx context.Context) ([]Head, error)
	// Drop removes the entries of a tenant that are older than a time, at most limit of
	// them, and never the last. It writes an entry that says so. [ErrBroken]: they are not
	// those that were written, and none was removed.
	Drop(ctx context.Context, tenant string, before time.Time, limit int) (int, error)
}
