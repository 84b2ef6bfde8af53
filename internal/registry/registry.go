// Package registry has the services of a platform: their versions, and the
// immutable revisions of these.
//
//	service        a name of a tenant, its texts, and its publication
//	  └─ version   such as 1.0.0: an address of the gateway, and settings
//	       └─ revision   what one build has made of one archive
//
// A version has at most one active revision, which new requests meet. A build
// makes a revision, and activates it when all of it has succeeded. A revision that
// fails replaces nothing. Activating an older revision is a rollback.
//
// The id of a version is the id of the engine's service.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/qhubctl/qhubctl/internal/limits"
)

// The errors of a registry, to be matched with errors.Is.
var (
	// ErrNotFound says that there is no such service, version or revision.
	ErrNotFound = errors.New("not found")
	// ErrNameTaken says that the tenant has a service with this name.
	ErrNameTaken = errors.New("this name is taken")
	// ErrInvalid says that an argument has no meaning. Nothing was changed.
	ErrInvalid = errors.New("invalid")
	// ErrNotReady says that a revision cannot be activated: it was not built, or its
	// build has failed.
	ErrNotReady = errors.New("this revision was not built, or its build has failed")
)

// A Scope selects the applications that may subscribe to a service.
type Scope string

// The scopes of a publication.
const (
	Unpublished Scope = ""
	// Internal services are for the applications of their tenant.
	Internal Scope = "INTERNAL"
	// Public services are for all applications.
	Public Scope = "PUBLIC"
)

// Valid reports whether s is one of the scopes.
func (s Scope) Valid() bool { return s == Unpublished || s == Internal || s == Public }

// A Service is a service of a tenant.
type Service struct {
	ID, Tenant, Name string
	Publication      Scope
	CreatedAt        time.Time
	Texts
}

// Texts are what people read about a service.
type Texts struct {
	DisplayName string          `json:"displayName,omitempty"`
	Summary     string          `json:"summary,omitempty"`
	Description string          `json:"description,omitempty"`
	Contacts    json.RawMessage `json:"contacts,omitempty"` // a list
	Links       json.RawMessage `json:"links,omitempty"`    // a list
}

// A Version is one version of a service.
type Version struct {
	ID, Service string
	// Version is such as 1.0.0.
	Version string
	// Active is the id of the revision that new requests meet; empty: none.
	Active    string
	CreatedAt time.Time
	Settings
	// Secrets are new secrets in its environment, for a store that adds or changes the
	// version: lookups leave them out. Those of other variables in Environment stay, and all
	// others are removed.
	Secrets []Secret
}

// A Secret is a sealed value for a variable in the environment of a version.
type Secret struct {
	Name string
	// ID names the value for its owner in the vault.
	ID     string
	SetBy  string // the id of a user
	Sealed []byte
}

// Settings are what the owner of a service sets for a version. They count from the
// next revision on.
type Settings struct {
	// Source is the key of the archive that was uploaded last; empty: none.
	Source string `json:"source,omitempty"`
	// MilliCPU and MemoryMB bound each execution. Zero: what the workspace says, or
	// the default.
	MilliCPU int `json:"milliCpu,omitempty"`
	MemoryMB int `json:"memoryMb,omitempty"`
	// Environment has variables of each execution. That of a secret has no value.
	Environment         map[string]string `json:"environment,omitempty"`
	ApplyProviderTokens bool              `json:"applyProviderTokens,omitempty"`
	// OpenAPI is a document that the owner has uploaded; nil: it is made.
	OpenAPI json.RawMessage `json:"openapi,omitempty"`
}

// Limits are the limits of the settings.
func (s Settings) Limits() limits.Limits {
	return limits.Limits{CPU: float64(s.MilliCPU) / 1000, Memory: int64(s.MemoryMB) << 20}
}

// A State says how a build stands.
type State string

// The states of a build.
const (
	Working   State = "WORKING"
	Succeeded State = "SUCCESS"
	Failed    State = "FAILURE"
)

// A Step is a part of a build.
type Step string

// The steps of a build: the archive is unpacked, the environment is made and the
// service described, the revision is activated.
const (
	Unpacking  Step = "INIT"
	Preparing  Step = "BUILD_IMAGE"
	Activating Step = "PUSH_IMAGE"
)

// A Revision is what one build has made of one archive. It does not change after
// the build.
type Revision struct {
	ID, Version string
	// Number counts the revisions of the version, from 1.
	Number int
	State  State
	// CreatedAt is when the build was asked for. FinishedAt is zero while it works.
	CreatedAt, FinishedAt time.Time
	Build
}

// A Build is what a build begins with, and what it has found.
type Build struct {
	// Source is the key of the archive.
	Source   string   `json:"source"`
	By       string   `json:"by,omitempty"` // the principal that has asked for it
	Settings Settings `json:"settings"`
	Step     Step     `json:"step,omitempty"`
	// Outcome is what the build says to the owner of the service.
	Outcome Outcome `json:"outcome"`
	// Manifest is set by a build that has succeeded.
	Manifest *Manifest `json:"manifest,omitempty"`
}

// An Outcome is what a build says to the owner of the service.
type Outcome struct {
	Summary  string   `json:"summary,omitempty"`
	Messages []string `json:"messages,omitempty"`
}

// A Manifest describes a service that was built.
type Manifest struct {
	Name        string          `json:"name"`
	Version     string          `json:"version,omitempty"`
	Description string          `json:"description,omitempty"`
	Language    string          `json:"language"`
	Entrypoint  string          `json:"entrypoint,omitempty"`
	Network     string          `json:"network,omitempty"`
	Limits      limits.Limits   `json:"limits"`
	Signature   json.RawMessage `json:"signature"`
}

// A LogLine is one line of the log of a build.
type LogLine struct {
	Sequence int64
	Severity string // DEBUG, INFO, WARNING, ERROR
	Time     time.Time
	Message  string
}

// A Page selects a part of a list. The zero value is the beginning, of a length
// that the store chooses.
type Page struct {
	Offset, Limit int
}

// A Store keeps the registry. Its methods are durable when they return. A lookup
// that finds nothing is [ErrNotFound].
type Store interface {
	Services
	Versions
	Revisions
	Shares
}

// Services keeps services.
type Services interface {
	// CreateService makes a service with its first version. [ErrNameTaken].
	CreateService(ctx context.Context, s Service, v Version) error
	Service(ctx context.Context, id string) (Service, error)
	ServiceNamed(ctx context.Context, tenant, name string) (Service, error)
	// Services are those of a tenant, the newest first; an empty tenant selects the
	// public ones of all.
	Services(ctx context.Context, tenant string, p Page) ([]Service, error)
	// ChangeService changes the texts and the publication of a service.
	ChangeService(ctx context.Context, id string, change func(*Service) error) (Service, error)
	// DeleteService deletes a service with all its versions and revisions.
	DeleteService(ctx context.Context, id string) error
}

// Versions keeps the versions of services.
type Versions interface {
	// AddVersion adds a version. [ErrNameTaken] if there is one.
	AddVersion(ctx context.Context, v Version) error
	Version(ctx context.Context, id string) (Version, error)
	// Versions are all versions of a service, the oldest first.
	Versions(ctx context.Context, service string) ([]Version, error)
	// ChangeVersion changes the settings of a version, and its secrets.
	ChangeVersion(ctx context.Context, id string, change func(*Version) error) (Version, error)
}

// Revisions keeps the revisions of versions, and their builds.
type Revisions interface {
	// BeginBuild makes a revision of the source and the settings that its version
	// has now. Where the same is being built already, it returns that revision, and
	// false. [ErrInvalid] without a source.
	BeginBuild(ctx context.Context, version, id, by string) (r Revision, begun bool, err error)
	// SetStep notes the step of a build that works.
	SetStep(ctx context.Context, revision string, step Step) error
	// FinishBuild ends a build that works. One that has succeeded is activated in
	// the same transaction, unless a newer revision is active.
	FinishBuild(ctx context.Context, revision string, outcome Outcome, manifest *Manifest) (Revision, error)
	// Activate makes a revision the one that new requests meet. [ErrNotReady].
	Activate(ctx context.Context, revision string) (Version, error)
	Revision(ctx context.Context, id string) (Revision, error)
	// Revisions are those of a version, the newest first.
	Revisions(ctx context.Context, version string, p Page) ([]Revision, error)
	// Unfinished are the builds that work, the oldest first.
	Unfinished(ctx context.Context) ([]Revision, error)
	// AppendBuildLog adds lines to the log of a build; it numbers them.
	AppendBuildLog(ctx context.Context, revision string, lines []LogLine) error
	BuildLog(ctx context.Context, revision string, after int64, limit int) ([]LogLine, error)
	// SourceInUse reports whether a version or revision has an archive.
	SourceInUse(ctx context.Context, key string) (bool, error)
}

var (
	serviceName   = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	versionNumber = regexp.MustCompile(`^(?:0|[1-9]\d{0,5})\.(?:0|[1-9]\d{0,5})\.(?:0|[1-9]\d{0,5})$`)
)

// CheckName returns an error that matches [ErrInvalid] unless a name can stand in
// an address.
func CheckName(name string) error {
	if !serviceName.MatchString(name) {
		return fmt.Errorf("%w name: it must have 1 to 63 lower-case letters, digits and hyphens, and begin and end with none of the latter", ErrInvalid)
	}
	return nil
}

// NameOf makes a name that can stand in an address of one that people have given;
// empty if nothing is left of it.
func NameOf(given string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(given) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	const most = 63
	name := b.String()
	return strings.Trim(name[:min(len(name), most)], "-")
}

// DefaultVersion is the version of a service whose owner names none.
const DefaultVersion = "1.0.0"

// CheckVersion returns an error that matches [ErrInvalid] unless a version is three
// numbers.
func CheckVersion(version string) error {
	if !versionNumber.MatchString(version) {
		return fmt.Errorf("%w version: it must be three numbers, such as 1.0.0", ErrInvalid)
	}
	return nil
}

// CompareVersions compares two versions by their numbers.
func CompareVersions(a, b string) int {
	var x, y [3]int
	_, _ = fmt.Sscanf(a, "%d.%d.%d", &x[0], &x[1], &x[2])
	_, _ = fmt.Sscanf(b, "%d.%d.%d", &y[0], &y[1], &y[2])
	for i := range x {
		if x[i] != y[i] {
			return x[i] - y[i]
		}
	}
	return 0
}

// Latest is the highest version that has an active revision.
func Latest(versions []Version) (latest Version, ok bool) {
	for _, v := range versions {
		if v.Active != "" && (!ok || CompareVersions(v.Version, latest.Version) > 0) {
			latest, ok = v, true
		}
	}
	return latest, ok
}

const (
	maxDisplayName = 70
	maxSummary     = 500
	maxDescription = 64 << 10
	maxList        = 64 << 10
)

// Check returns an error that matches [ErrInvalid] if a text is too long.
func (t Texts) Check() error {
	switch {
	case utf8.RuneCountInString(t.DisplayName) > maxDisplayName:
		return fmt.Errorf("%w display name: it may have %d characters", ErrInvalid, maxDisplayName)
	case utf8.RuneCountInString(t.Summary) > maxSummary:
		return fmt.Errorf("%w summary: it may have %d characters", ErrInvalid, maxSummary)
	case len(t.Description) > maxDescription:
		return fmt.Errorf("%w description: it may have %d KiB", ErrInvalid, maxDescription>>10)
	case len(t.Contacts) > maxList || len(t.Links) > maxList:
		return fmt.Errorf("%w list: it may have %d KiB", ErrInvalid, maxList>>10)
	}
	return nil
}
