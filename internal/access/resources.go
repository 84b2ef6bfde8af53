package access

import "time"

// A TenantKind says what a tenant is.
type TenantKind string

// The kinds of tenants.
const (
	User         TenantKind = "USER"
	Organization TenantKind = "ORGANIZATION"
)

// A Tenant owns services, applications and data pools.
type Tenant struct {
	// ID is a UUID. It stands in the addresses of the gateway.
	ID   string
	Kind TenantKind
	// Name is unique among the tenants of a kind: the user name of a user.
	Name        string
	DisplayName string
	// Description is of an organization, Email of a user. Both may be empty.
	Description, Email string
	CreatedAt          time.Time
}

// A Member is a user of an organization.
type Member struct {
	Organization string // its id
	User         Tenant
	Role         Role
	Since        time.Time
}

// A Membership is an account that a user can act for: itself, or an organization.
type Membership struct {
	Tenant Tenant
	Role   Role
}

// An InvitationStatus says what became of an invitation.
type InvitationStatus string

// The states of an invitation.
const (
	InvitationPending  InvitationStatus = "PENDING"
	InvitationAccepted InvitationStatus = "ACCEPTED"
	InvitationDeclined InvitationStatus = "DECLINED"
)

// An Invitation makes a user a member of an organization, once it is accepted.
type Invitation struct {
	ID           string
	Organization Tenant
	// Invitee is the id of a user. It is empty for an invitation that whoever has
	// its token accepts.
	Invitee   string
	Inviter   Tenant
	Role      Role
	Status    InvitationStatus
	CreatedAt time.Time
	ExpiresAt time.Time
}

// A Token is a personal access token, without its value.
type Token struct {
	ID     string
	User   string // its id
	Name   string
	Prefix string // the beginning of the value, for recognition
	Scopes []Scope
	// UsedAt is zero for a token that was never used, ExpiresAt for one that does
	// not expire. UsedAt is exact to a minute.
	CreatedAt, UsedAt, ExpiresAt time.Time
}

// An App is an application: a program that calls services.
type App struct {
	ID        string
	Tenant    string // the id of its owner
	Name      string
	CreatedAt time.Time
}

// An Key is a key of an application, without its secret.
type Key struct {
	ID          string // the access key id
	Application string // its id
	// UsedAt is zero for a key that was never used, ExpiresAt for one that does
	// not expire. UsedAt is exact to a minute.
	CreatedAt, UsedAt, ExpiresAt time.Time
	// RevealUntil is until when an OWNER can read the secret.
	RevealUntil time.Time
}

// MaxAccessKeys is how many live access keys an application has: one, and another
// while the first one is being replaced.
const MaxAccessKeys = 2

// A Subscription lets an application call a service.
type Subscription struct {
	ID          string
	Application App
	Service     string // its id
	CreatedAt   time.Time
}

// A ServiceRef names a service, as far as access to it depends on it.
type ServiceRef struct {
	// ID is the id of the service, Tenant that of its owner.
	ID, Tenant string
}
