// Package secretstore keeps secrets for the executions of services: set once, replaced
// by new versions, and never read back.
//
//	tenant
//	  ├─ secrets of a service         by parameter; for all executions of the service
//	  ├─ secrets of a subscription    by parameter; for the executions of one application
//	  └─ secrets of the tenant        by name; bound to parameters of its services
//
// A secret has numbered versions, which never change. New executions get the newest one
// that is live: neither destroyed, nor replaced, nor expired. A version that was replaced
// can be kept for a while, and counts again if the newer one is deleted or expires.
//
// # Pins
//
// [Service.Offer] names the versions for an execution when its request is accepted. The
// store pins them in the transaction of the acceptance. A version that no longer counts
// is destroyed as soon as no execution that waits or runs pins it.
//
// # Precedence
//
// A secret in a request, if the caller may replace the stored one ([Override]), comes
// before one of the subscription, of the service, and of the tenant, in this order. An
// execution never gets a version that another place takes precedence over.
//
// # Values
//
// The vault seals each version for the place of its secret ([Place.Owner]). A sealed
// value that was moved to another row does not open. A version may hold a reference to a
// value in another store instead: it is sealed like a value, and resolved when an
// execution starts ([References]).
package secretstore

import (
	"fmt"
	"regexp"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// A Kind is the kind of thing that a secret belongs to.
type Kind string

// The kinds.
const (
	OfService      Kind = "SERVICE"
	OfSubscription Kind = "SUBSCRIPTION"
	OfTenant       Kind = "TENANT"
	// OfEnvironment is in the environment of a version of a service, and OfProvider the
	// token of an account for a provider of quantum computers. Their own parts of the API
	// set them; here they are listed.
	OfEnvironment Kind = "ENVIRONMENT"
	OfProvider    Kind = "PROVIDER"
)

// ofProviders is the holder of the tokens of providers.
const ofProviders = "providers"

// ranks has the precedence of the kinds: the highest wins.
var ranks = map[Kind]int{OfSubscription: 3, OfService: 2, OfTenant: 1}

// A Place is what a secret belongs to, and its name there.
type Place struct {
	Kind Kind
	// Tenant manages the secret: the owner of the service or of the application.
	Tenant string
	// Service is the id of a service; empty for a secret of the tenant.
	Service string
	// Subscription and Application are ids; empty unless it is of a subscription.
	Subscription, Application string
	// Holder is what else it belongs to: the id of a version of the service for a secret in
	// an environment. Empty for a secret that its owner manages here.
	Holder string
	// Name is the name of a parameter, of a variable, of a provider, or any name of a
	// secret of the tenant.
	Name string
}

// InEnvironment is the place of a variable of a version of a service.
func InEnvironment(tenant, service, version, variable string) Place {
	return Place{Kind: OfEnvironment, Tenant: tenant, Service: service, Holder: version, Name: variable}
}

// ForProvider is the place of the token that an account has for a provider.
func ForProvider(tenant, provider string) Place {
	return Place{Kind: OfProvider, Tenant: tenant, Holder: ofProviders, Name: provider}
}

// Owner owns the sealed value of a version, by the id of the version.
func (p Place) Owner(version string) vault.Owner {
	return vault.StoredSecretOwner(string(p.Kind), p.Tenant+"/"+p.Service+"/"+p.Subscription+p.Holder+"/"+p.Name, version)
}

// An Override says which callers may replace a stored secret by one in a request.
type Override string

// The overrides. The caller of an execution is of the tenant of a secret if it is a
// member, an application, or an execution of a service of that tenant.
const (
	// OverrideNone lets no caller replace the secret.
	OverrideNone Override = "NONE"
	// OverrideOwn lets callers of the tenant of the secret replace it. It is the default.
	OverrideOwn Override = "OWN"
	// OverrideAny lets all callers replace it.
	OverrideAny Override = "ANY"
)

// Valid reports whether o is one of the overrides.
func (o Override) Valid() bool { return o == OverrideNone || o == OverrideOwn || o == OverrideAny }

// Allows reports whether a caller of a tenant may replace a secret of an owner.
func (o Override) Allows(caller, owner string) bool {
	return o == OverrideAny || o == OverrideOwn && caller != "" && caller == owner
}

// A Secret is a stored secret, without its value.
type Secret struct {
	Place
	Override  Override
	CreatedAt time.Time
	// Newest is the version that was set last.
	Newest Version
	// Live is the number of the version that new executions get; 0: none.
	Live int
	// UsedAt is when an execution has last started with a version of it. It is exact to
	// some seconds.
	UsedAt time.Time
	// Bindings are the parameters that get a secret of the tenant.
	Bindings []Binding
}

// A Version is one value of a secret, without the value.
type Version struct {
	Number int
	SetAt  time.Time
	// SetBy is the id of the user that has set it.
	SetBy string
	// ExpiresAt is when it expires, and KeptUntil when it stops to count because a newer
	// one has replaced it. Zero: it does not.
	ExpiresAt, KeptUntil time.Time
	// DestroyedAt is when the value was destroyed. Zero: it was not.
	DestroyedAt time.Time
	UsedAt      time.Time
	// UsedBy is the execution that has used it last.
	UsedBy string
	// Reference names the value in another store. Empty: the value is here.
	Reference string
}

// A State says what a version is good for.
type State string

// The states.
const (
	Live      State = "LIVE"
	Expired   State = "EXPIRED"
	Replaced  State = "REPLACED"
	Destroyed State = "DESTROYED"
)

// State is the state at a time. A version that is EXPIRED or REPLACED still has its value:
// executions that wait or run may have pinned it.
func (v Version) State(now time.Time) State {
	switch {
	case !v.DestroyedAt.IsZero():
		return Destroyed
	case !v.ExpiresAt.IsZero() && !now.Before(v.ExpiresAt):
		return Expired
	case !v.KeptUntil.IsZero() && !now.Before(v.KeptUntil):
		return Replaced
	default:
		return Live
	}
}

// A Binding gives a parameter of a service a secret of the tenant.
type Binding struct{ Service, Parameter string }

const (
	// MaxSecrets is how many secrets a tenant may have.
	MaxSecrets = 20_000
	// MaxOfService is how many secrets a service, or a subscription, may have.
	MaxOfService = 500
	// MaxKept is how many versions of a secret may have a value at once.
	MaxKept = 20
	// MaxHistory is how many versions of a secret are listed.
	MaxHistory = 100
	// MaxKeep is how long a version that was replaced can be kept.
	MaxKeep = 30 * 24 * time.Hour
	// MaxImport is how many secrets are set at once.
	MaxImport = 200
	// maxFindings is how many secrets of a kind a check of an account lists.
	maxFindings = 1000
	// maxBindings is how many parameters a secret of the tenant may be bound to.
	maxBindings = 100
	// maxWithin bounds how far ahead a check looks.
	maxWithin = 10 * 365 * 24 * time.Hour
)

// invalid is an error about an argument, whose value it does not repeat.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w %s", access.ErrInvalid, fmt.Sprintf(format, args...))
}

var (
	parameterName = regexp.MustCompile(`^[\pL_][\pL\pN\pM_]{0,127}$`)
	tenantName    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
)

// checkName returns an error unless the name fits the kind of a secret.
func checkName(kind Kind, name string) error {
	switch {
	case kind == OfTenant && !tenantName.MatchString(name):
		return invalid("name: it must have 1 to 128 letters, digits, and the characters _ . -")
	case kind != OfTenant && !parameterName.MatchString(name):
		return invalid("name: it must be the name of a parameter, such as api_token")
	default:
		return nil
	}
}
