package access_test

import (
	"context"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
)

func TestPrincipals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		principal           access.Principal
		known, read, starts bool
	}{
		"none":         {},
		"anyone":       {principal: access.Anyone(), read: true, starts: true},
		"token holder": {principal: access.TokenHolder(), known: true, read: true, starts: true},
		"reader":       {principal: access.Principal{Kind: "application", ID: "1", Rights: []access.Right{access.Read}}, known: true, read: true},
	} {
		p := access.From(access.With(context.Background(), c.principal))
		if p.Known() != c.known || p.May(access.Read) != c.read || p.May(access.Execute) != c.starts {
			t.Errorf("%s: known %t, may read %t, may execute %t; want %t, %t, %t", name,
				p.Known(), p.May(access.Read), p.May(access.Execute), c.known, c.read, c.starts)
		}
	}
	if access.From(context.Background()).May(access.Read) {
		t.Error("From(a context without a principal) may read, want nothing")
	}
}

func TestRolesIncludeTheOnesBelow(t *testing.T) {
	t.Parallel()
	roles := []access.Role{access.Viewer, access.Maintainer, access.Owner}
	for i, higher := range roles {
		for j, lower := range roles {
			if got, want := higher.Includes(lower), i >= j; got != want {
				t.Errorf("%s.Includes(%s) = %t, want %t", higher, lower, got, want)
			}
		}
	}
	for _, odd := range []access.Role{"", "owner", "ADMIN"} {
		if odd.Valid() || odd.Includes(access.Viewer) {
			t.Errorf("role %q is valid or includes VIEWER, want neither", odd)
		}
	}
}
