// Package datapool keeps data pools: named sets of files that executions of services
// read, and may change.
//
//	tenant
//	  └─ pool        a name, texts and tags
//	       ├─ files    each with a checksum and a version; the contents are blobs
//	       ├─ shares   give other tenants a role, for a time or for good
//	       └─ uploads  files that come in pieces
//
// A [Service] asks for the rights of a [access.Principal]: members have their role in
// the tenant that owns a pool, and at most the role of the share in a pool of another
// tenant. An execution has the pools that it was given. A pool that a caller cannot
// reach gives [access.ErrNotFound], as if it did not exist.
//
// # Grants
//
// A grant is a signed token for one pool, one application and one [Permission]. It
// lives for [access.GrantLifetime]. The application sends it with the request for an
// execution.
//
// # Executions
//
// [Service.Admit] checks a request, [Service.Mount] places the files of pools into the
// folder of an execution, and [Mounted.Stage] compares them afterwards. The changes are made
// in the transaction that ends the execution: all of them, or none if another caller has
// changed one of the files meanwhile.
package datapool

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/qhubctl/qhubctl/internal/access"
)

// ErrStale says that a file is not in the version that a change is based on. Nothing
// was changed.
var ErrStale = errors.New("the file has changed meanwhile")

// A Permission is what an execution may do with a pool. Each includes those before it.
type Permission string

// The permissions.
const (
	// View reads files.
	View Permission = "VIEW"
	// Modify changes files.
	Modify Permission = "MODIFY"
	// Grant issues grants.
	Grant Permission = "GRANT"
)

// Role is the role of a member with the same rights; empty if p is no permission.
func (p Permission) Role() access.Role {
	return map[Permission]access.Role{View: access.Viewer, Modify: access.Maintainer, Grant: access.Owner}[p]
}

// Includes reports whether p permits all that other does.
func (p Permission) Includes(other Permission) bool {
	return other.Role().Valid() && p.Role().Includes(other.Role())
}

// A Pool is a data pool.
type Pool struct {
	ID, Tenant string
	// Name is unique among the pools of a tenant.
	Name             string
	ShortDescription string
	Description      string
	Tags             []string
	CreatedAt        time.Time
	// Role is the role of the caller. It is not stored.
	Role access.Role
}

// A File is a file of a pool.
type File struct {
	ID, Pool string
	// Name is its path in the pool, with slashes. It is unique in the pool.
	Name        string
	ContentType string
	Size        int64
	// SHA256 is the checksum of the content, in hexadecimal.
	SHA256 string
	// Blob is the key of the content.
	Blob string
	// Version counts the contents of the file, from 1.
	Version   int64
	CreatedAt time.Time
}

// A Share gives a tenant a role in a pool of another one.
type Share struct {
	ID, Pool   string
	Tenant     string // the id of the one that gets it
	TenantKind access.TenantKind
	Role       access.Role
	// ValidFrom and ValidUntil bound the share; zero: no bound.
	ValidFrom, ValidUntil time.Time
	CreatedAt             time.Time
}

// Active reports whether the share counts at a time.
func (s Share) Active(now time.Time) bool {
	return !now.Before(s.ValidFrom) && (s.ValidUntil.IsZero() || now.Before(s.ValidUntil))
}

// An Upload is a file that comes in pieces.
type Upload struct {
	ID, Pool, Name, ContentType string
	// Size is the length of the whole file, and SHA256 the checksum that it must
	// have; empty: any.
	Size   int64
	SHA256 string
	// File is the id of the file that the upload became; empty while it is not
	// complete.
	File                 string
	CreatedAt, ExpiresAt time.Time
}

// The bounds of names and texts.
const (
	minName, maxName    = 3, 255
	maxShortDescription = 60
	maxDescription      = 64 << 10
	maxTags, maxTag     = 50, 100
	maxFileName         = 1024
	maxFilePart         = 255
	maxFolders          = 16
	maxContentType      = 255
)

// invalid is an error about an argument, whose value it does not repeat.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w %s", access.ErrInvalid, fmt.Sprintf(format, args...))
}

// check trims the texts of a pool, lower-cases its tags, and returns an error for one
// that is not valid.
func (p *Pool) check() error {
	p.Name = strings.TrimSpace(p.Name)
	p.ShortDescription = strings.TrimSpace(p.ShortDescription)
	switch n := utf8.RuneCountInString(p.Name); {
	case n < minName || n > maxName:
		return invalid("name: it must have %d to %d characters", minName, maxName)
	case strings.ContainsFunc(p.Name, unicode.IsControl):
		return invalid("name: it has control characters")
	case utf8.RuneCountInString(p.ShortDescription) > maxShortDescription:
		return invalid("short description: it may have %d characters", maxShortDescription)
	case len(p.Description) > maxDescription:
		return invalid("description: it may have %d KiB", maxDescription>>10)
	case len(p.Tags) > maxTags:
		return invalid("tags: there may be %d", maxTags)
	}
	tags := []string{}
	for _, tag := range p.Tags {
		tag = strings.ToLower(strings.TrimSpace(tag))
		if tag == "" || len(tag) > maxTag || strings.ContainsFunc(tag, unicode.IsControl) {
			return invalid("tag: it must have 1 to %d characters", maxTag)
		}
		tags = append(tags, tag)
	}
	p.Tags = tags
	return nil
}

// CheckFileName returns an error that matches [access.ErrInvalid] unless name is a path
// for a file of a pool: parts with slashes between them, in at most 16 folders, none of
// which is empty, "." or "..".
func CheckFileName(name string) error {
	if name == "" || len(name) > maxFileName || !utf8.ValidString(name) {
		return invalid("file name: it must have 1 to %d bytes of UTF-8", maxFileName)
	}
	parts := strings.Split(name, "/")
	if len(parts) > maxFolders+1 {
		return invalid("file name: a file may lie in at most %d folders", maxFolders)
	}
	for _, part := range parts {
		switch {
		case part == "" || part == "." || part == "..":
			return invalid("file name: each part needs a name, and none may be . or ..")
		case len(part) > maxFilePart:
			return invalid("file name: a part of it has more than %d bytes", maxFilePart)
		case strings.ContainsFunc(part, func(r rune) bool { return unicode.IsControl(r) || r == '\\' }):
			return invalid("file name: it has a backslash or a control character")
		}
	}
	return nil
}
