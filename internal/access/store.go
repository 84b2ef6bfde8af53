package access

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/vault"
)

// A Store keeps what this package knows. It is safe for concurrent use. Each change
// is durable when its method returns, and happens as a whole or not at all.
//
// Methods that name a tenant find resources of that tenant only: others give
// [ErrNotFound].
type Store interface {
	Tenants
	Members
	Tokens
	Applications
	KeyStore
	Subscriptions
	SigningKeys
	ProviderTokens
}

// Tenants keeps users and organizations.
type Tenants interface {
	// CreateUser makes a user. [ErrExists]: the name is taken.
	CreateUser(ctx context.Context, user Tenant) error
	// CreateOrganization makes an organization with its first OWNER.
	CreateOrganization(ctx context.Context, organization Tenant, owner string) error
	// Tenant reads a user or an organization.
	Tenant(ctx context.Context, id string) (Tenant, error)
	// UserByName reads a user by its name.
	UserByName(ctx context.Context, name string) (Tenant, error)
	// UpdateOrganization changes the display name and the description.
	UpdateOrganization(ctx context.Context, organization Tenant) error
	// DeleteOrganization deletes an organization and all that it owns.
	DeleteOrganization(ctx context.Context, id string) error
}

// Members keeps the members of organizations, and invitations.
type Members interface {
	// Memberships are the organizations of a user, by name.
	Memberships(ctx context.Context, user string) ([]Membership, error)
	// Members are those of an organization, by name.
	Members(ctx context.Context, organization string) ([]Member, error)
	// Role is the role of a user in an organization.
	Role(ctx context.Context, organization, user string) (Role, error)
	// SetRole changes the role of a member. [ErrConflict]: no OWNER would be left.
	SetRole(ctx context.Context, organization, user string, role Role) error
	// RemoveMember ends a membership. [ErrConflict]: no OWNER would be left.
	RemoveMember(ctx context.Context, organization, user string) error
	// CreateInvitation makes an invitation. digest is of its one-time token.
	CreateInvitation(ctx context.Context, i Invitation, digest []byte) error
	// Invitations are those of an organization or of an invitee, the newest first.
	// An empty id means any.
	Invitations(ctx context.Context, organization, invitee string) ([]Invitation, error)
	// DecideInvitation ends a pending invitation that has not expired, found by the
	// id and the invitee, or by the digest of its token. Accepted, it makes the
	// user a member, in the same transaction.
	DecideInvitation(ctx context.Context, d Decision) (Invitation, error)
	// DeleteInvitation withdraws an invitation.
	DeleteInvitation(ctx context.Context, organization, id string) error
}

// A Decision accepts or declines an invitation.
type Decision struct {
	// ID names an invitation of the user; or Digest one by its token.
	ID     string
	Digest []byte
	// User becomes a member. NewUser, if it has an id, is made first.
	User    string
	NewUser Tenant
	// NewToken, if it has an id, is made for the user, with its digest.
	NewToken       Token
	NewTokenDigest []byte
	Status         InvitationStatus
	Now            time.Time
}

// Tokens keeps personal access tokens.
type Tokens interface {
	// CreateToken makes a token.
	CreateToken(ctx context.Context, token Token, digest []byte) error
	// Tokens are those of a user, the newest first.
	Tokens(ctx context.Context, user string) ([]Token, error)
	// TokenByDigest reads a token, and its stored digest.
	TokenByDigest(ctx context.Context, digest []byte) (Token, []byte, error)
	// DeleteToken revokes a token of a user.
	DeleteToken(ctx context.Context, user, id string) error
	// MarkUsed notes when tokens and access keys were last used, by their ids.
	MarkUsed(ctx context.Context, used map[string]time.Time) error
}

// Applications keeps applications.
type Applications interface {
	// CreateApplication makes an application with its first access key.
	CreateApplication(ctx context.Context, app App, key StoredKey) error
	// Applications are those of a tenant, by name.
	Applications(ctx context.Context, tenant string) ([]App, error)
	// Application reads an application of a tenant.
	Application(ctx context.Context, tenant, id string) (App, error)
	// DeleteApplication deletes an application with its keys and subscriptions.
	DeleteApplication(ctx context.Context, tenant, id string) error
}

// A StoredKey is an access key in a store.
type StoredKey struct {
	Key
	// Digest is SHA-256 of the secret.
	Digest []byte
	// Sealed is the secret, sealed for [vault.AccessKeyOwner]. It is empty once
	// the secret cannot be read.
	Sealed vault.Sealed
	// Tenant is the id of the owner of the application.
	Tenant string
}

// KeyStore keeps access keys.
type KeyStore interface {
	// AddKey adds a key to an application of key.Tenant, unless that has
	// [MaxAccessKeys] live ones: [ErrConflict]. replaced, if not empty, is the id of
	// a live key that expires at until, or at its own time if that is earlier.
	AddKey(ctx context.Context, key StoredKey, replaced string, until time.Time) error
	// Keys are those of an application, the newest first, without expired ones.
	Keys(ctx context.Context, tenant, application string, now time.Time) ([]StoredKey, error)
	// Key reads a key by its id.
	Key(ctx context.Context, id string) (StoredKey, error)
	// DeleteKey revokes a key.
	DeleteKey(ctx context.Context, tenant, application, id string) error
	// HideSecrets destroys the sealed secrets whose time to be read is over, and
	// the keys that have expired before a time.
	HideSecrets(ctx context.Context, now, expiredBefore time.Time) error
}

// A SubscriptionQuery names subscriptions. Empty fields mean any.
type SubscriptionQuery struct {
	Tenant, ID, Application, Service string
}

// Subscriptions keeps subscriptions.
type Subscriptions interface {
	// Subscribe makes a subscription of an application of a tenant. One that exists
	// is returned unchanged.
	Subscribe(ctx context.Context, tenant string, s Subscription) (Subscription, error)
	// Subscriptions finds subscriptions, the newest first.
	Subscriptions(ctx context.Context, q SubscriptionQuery) ([]Subscription, error)
	// Subscribed reports whether an application may call a service.
	Subscribed(ctx context.Context, application, service string) (bool, error)
	// Unsubscribe deletes the subscriptions that a query names, and tells how many.
	Unsubscribe(ctx context.Context, q SubscriptionQuery) (int, error)
}

// A SigningKey signs access tokens and execution tokens (Ed25519).
type SigningKey struct {
	ID     string
	Public []byte
	// Sealed is the private key, sealed for [vault.SigningKeyOwner].
	Sealed    vault.Sealed
	CreatedAt time.Time
}

// SigningKeys keeps keys that sign tokens.
type SigningKeys interface {
	// SigningKeys are all keys, the newest first.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// AddSigningKey adds the newest key, unless one was made after a time. It keeps
	// the one before, whose tokens still run, and deletes all others.
	AddSigningKey(ctx context.Context, key SigningKey, unlessAfter time.Time) error
}
