package secretstore

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/vault"
)

// A Store keeps secrets. It is safe for concurrent use. Each change is durable when its
// method returns, and happens as a whole or not at all; [Versions.MarkUsed] is durable soon.
// A missing thing gives [access.ErrNotFound]. Package secretstoretest is the suite that
// every store passes.
//
// Secrets of a subscription, service or tenant that is deleted are deleted with it.
type Store interface {
	Secrets
	Versions
	Rotations
}

// Secrets keeps secrets for their owners.
type Secrets interface {
	// Put adds versions to secrets, and makes those that do not exist. The version before
	// stops to count, at once or when its grace period is over. [access.ErrConflict]: the
	// tenant would have more than limit secrets, or a service more than [MaxOfService], or
	// too many versions are kept.
	Put(ctx context.Context, versions []NewVersion, limit int) error
	// Secrets are those that a query selects, by kind, service, application and name, and
	// how many there are in all.
	Secrets(ctx context.Context, q Query) (secrets []Secret, total int, err error)
	// Secret reads a secret with its versions, the newest first.
	Secret(ctx context.Context, p Place, now time.Time) (Secret, []Version, error)
	// Delete has a secret, or one version of it, count no more.
	Delete(ctx context.Context, p Place, version int, now time.Time) error
	// SetOverride changes which callers may replace a secret.
	SetOverride(ctx context.Context, p Place, o Override) error
	// Bind gives a parameter a secret of the tenant, in place of the one that it has.
	Bind(ctx context.Context, p Place, b Binding, limit int) error
	// Unbind ends a binding.
	Unbind(ctx context.Context, p Place, b Binding) error
}

// Versions gives versions to executions.
type Versions interface {
	// Candidates are the live versions for executions of a service. Those of a
	// subscription are that of the application; empty: there are none.
	Candidates(ctx context.Context, service, application string, now time.Time) ([]Candidate, error)
	// Sealed are versions that were not destroyed, in any order.
	Sealed(ctx context.Context, pins []int64) ([]SealedVersion, error)
	// Refresh has the next reads of candidates and sealed versions leave out what the store
	// remembers.
	Refresh()
	// MarkUsed notes when an execution has used versions.
	MarkUsed(ctx context.Context, uses map[int64]Use) error
	// Sweep destroys the versions that no longer count, unless an execution that waits or
	// runs pins them, and tells how many.
	Sweep(ctx context.Context, now time.Time) (int, error)
}

// A NewVersion is a value for a secret.
type NewVersion struct {
	Place
	// ID names the version for [Place.Owner], and Sealed is its value.
	ID     string
	Sealed vault.Sealed
	// Reference is the sealed value if that is a reference, for lists.
	Reference string
	SetBy     string
	SetAt     time.Time
	// ExpiresAt is when it expires. Zero: it does not.
	ExpiresAt time.Time
	// Keep is how long the version before counts if this one is deleted or expires.
	Keep time.Duration
	// Override says which callers may replace it. Empty: as before, or [OverrideOwn].
	Override Override
	// Existing says that the secret must exist.
	Existing bool
}

// A Query selects secrets of a tenant. Empty fields mean any.
type Query struct {
	Tenant               string // needed
	Kind                 Kind
	Service, Application string
	// ExpiresBefore selects secrets whose newest version expires before a time.
	ExpiresBefore time.Time
	// Unbound selects secrets of the tenant that are bound to no parameter.
	Unbound bool
	// BoundTo selects secrets of the tenant that are bound to parameters of a service.
	BoundTo string
	// Now is the time at which a version is live.
	Now time.Time
	// Limit and Offset select a page. A limit of zero: all.
	Limit, Offset int
}

// A Candidate is a live version for a parameter of a service.
type Candidate struct {
	Parameter string
	Place     Place
	Override  Override
	// Pin is the number by which executions pin the version; it is never used again.
	Pin       int64
	Number    int
	ExpiresAt time.Time
}

// A SealedVersion is a version with its sealed value.
type SealedVersion struct {
	Pin    int64
	Place  Place
	ID     string
	Number int
	Sealed vault.Sealed
}

// A Use is the last use of a version.
type Use struct {
	At        time.Time
	Execution string
}
