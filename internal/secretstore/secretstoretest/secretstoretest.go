// Package secretstoretest is the suite that every [secretstore.Store] passes.
package secretstoretest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// A World is an empty store, with the things around secrets.
type World struct {
	secretstore.Store
	// Tenant makes a user, Service a service of a tenant, and Subscription an application
	// of a tenant that is subscribed to a service. They return ids.
	Tenant       func(name string) string
	Service      func(tenant, name string) string
	Subscription func(tenant, name, service string) (application, subscription string)
	// Unsubscribe ends a subscription, and DeleteService deletes a service.
	Unsubscribe   func(tenant, subscription string)
	DeleteService func(id string)
	// Accept accepts an execution of a service that pins versions, and returns what ends it.
	Accept func(service string, pins ...int64) (end func(), err error)
	// Reseal visits all sealed values.
	Reseal func(visit store.Rewrapper) error
}

// Run runs the suite. The function makes a world.
func Run(t *testing.T, open func(t *testing.T) *World) {
	t.Helper()
	for name, test := range map[string]func(*fixture){
		"Versions": versions, "Kept": kept, "Expiry": expiry, "Pins": pins, "DeletedWhilePinned": deletedWhilePinned, "AllOrNothing": allOrNothing,
		"Places": places, "Candidates": candidates, "Bindings": bindings, "Queries": queries, "GoneWithTheSubscription": goneWithSubscription,
		"GoneWithTheService": goneWithService, "Bounds": bounds, "Uses": uses, "OwnersInReseal": owners, "RandomChanges": randomChanges, "Rotations": rotations,
	} {
		t.Run(name, func(t *testing.T) {
			test(&fixture{T: t, World: open(t), clock: time.Now().UTC().Truncate(time.Second)})
		})
	}
}

type fixture struct {
	*testing.T
	*World
	clock time.Time
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wants(doing string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("%s = %v, want %v", doing, err, want)
	}
}

// Ring is the keyring of the suite.
func Ring() *vault.Keyring {
	ring, err := vault.FromText([]byte("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	if err != nil {
		panic(err) //nolint:forbidigo // it is a constant
	}
	return ring
}

// version makes one of a place, with a value.
func (f *fixture) version(p secretstore.Place, value string) secretstore.NewVersion {
	f.Helper()
	id := uuid.NewString()
	sealed, err := Ring().Seal(p.Owner(id), vault.Secrets{"value": plaintext.FromString(value)})
	f.must(err)
	return secretstore.NewVersion{Place: p, ID: id, Sealed: sealed, SetBy: "somebody", SetAt: f.clock}
}

func (f *fixture) put(v secretstore.NewVersion) {
	f.Helper()
	f.must(f.Put(f.Context(), []secretstore.NewVersion{v}, 1000))
}

func (f *fixture) set(p secretstore.Place, value string) { f.Helper(); f.put(f.version(p, value)) }

// values are those that candidates open to, by "kind parameter".
func (f *fixture) values(service, application string) map[string]string {
	f.Helper()
	all, err := f.Candidates(f.Context(), service, application, f.clock)
	f.must(err)
	found := map[string]string{}
	for _, c := range all {
		found[string(c.Place.Kind)+" "+c.Parameter] = f.open(c.Pin)
	}
	return found
}

// open opens a version; empty: it is not there.
func (f *fixture) open(pin int64) string {
	f.Helper()
	all, err := f.Sealed(f.Context(), []int64{pin})
	f.must(err)
	if len(all) == 0 {
		return ""
	}
	secrets, err := Ring().Open(all[0].Place.Owner(all[0].ID), all[0].Sealed)
	f.must(err)
	return string(secrets["value"].Reveal())
}

func (f *fixture) candidate(service, parameter string) secretstore.Candidate {
	f.Helper()
	all, err := f.Candidates(f.Context(), service, "", f.clock)
	f.must(err)
	for _, c := range all {
		if c.Parameter == parameter {
			return c
		}
	}
	return secretstore.Candidate{}
}

func (f *fixture) sweep() int {
	f.Helper()
	n, err := f.Sweep(f.Context(), f.clock)
	f.must(err)
	return n
}

func (f *fixture) advance(by time.Duration) { f.clock = f.clock.Add(by) }

// service makes a service, and the place of a secret of it.
func (f *fixture) service() (p secretstore.Place) {
	f.Helper()
	tenant := f.Tenant("owner")
	return secretstore.Place{Kind: secretstore.OfService, Tenant: tenant, Service: f.Service(tenant, "service"), Name: "api_token"}
}

func versions(f *fixture) {
	p := f.service()
	_, _, err := f.Secret(f.Context(), p, f.clock)
	f.wants("Secret(none)", err, access.ErrNotFound)
	rotated := f.version(p, "x")
	rotated.Existing = true
	f.wants("Put(a version of a secret that must exist)", f.Put(f.Context(), []secretstore.NewVersion{rotated}, 10), access.ErrNotFound)
	f.set(p, "one")
	f.advance(time.Second)
	f.set(p, "two")
	s, all, err := f.Secret(f.Context(), p, f.clock)
	f.must(err)
	if s.Place != p || s.Live != 2 || s.Newest.Number != 2 || s.Override != secretstore.OverrideOwn || !s.CreatedAt.Equal(f.clock.Add(-time.Second)) {
		f.Errorf("Secret = %+v, want version 2 live", s)
	}
	if len(all) != 2 || all[0].Number != 2 || all[0].SetBy != "somebody" || all[0].State(f.clock) != secretstore.Live ||
		all[1].State(f.clock) != secretstore.Destroyed || !all[1].DestroyedAt.Equal(f.clock) {
		f.Errorf("the versions are %+v, want the first destroyed", all)
	}
	if got := f.values(p.Service, ""); got["SERVICE api_token"] != "two" || len(got) != 1 {
		f.Errorf("Candidates open to %q, want two", got)
	}
	change := f.version(p, "three")
	change.Override = secretstore.OverrideAny
	f.put(change)
	f.set(p, "four")
	if s, _, err := f.Secret(f.Context(), p, f.clock); err != nil || s.Override != secretstore.OverrideAny {
		f.Errorf("the override is %s, %v; want ANY, as it was set before", s.Override, err)
	}
	f.must(f.SetOverride(f.Context(), p, secretstore.OverrideNone))
	if c := f.candidate(p.Service, p.Name); c.Override != secretstore.OverrideNone {
		f.Errorf("the override of the candidate is %s, want NONE", c.Override)
	}
	bad := f.version(p, "x")
	bad.Sealed = []byte("a value in the clear")
	f.wants("Put(a value that is not sealed)", f.Put(f.Context(), []secretstore.NewVersion{bad}, 10), access.ErrInvalid)
}

func kept(f *fixture) {
	p := f.service()
	f.set(p, "one")
	second := f.version(p, "two")
	second.Keep = time.Hour
	f.put(second)
	if got := f.values(p.Service, ""); got["SERVICE api_token"] != "two" {
		f.Errorf("after a rotation Candidates open to %q, want two", got)
	}
	f.wants("Delete(a version that was never made)", f.Delete(f.Context(), p, 7, f.clock), access.ErrNotFound)
	f.must(f.Delete(f.Context(), p, 2, f.clock))
	if got := f.values(p.Service, ""); got["SERVICE api_token"] != "one" {
		f.Errorf("after the new version is deleted Candidates open to %q, want one", got)
	}
	f.wants("Delete(a destroyed version)", f.Delete(f.Context(), p, 2, f.clock), access.ErrNotFound)
	pin := f.candidate(p.Service, p.Name).Pin
	f.advance(time.Hour)
	if got := f.values(p.Service, ""); len(got) != 0 {
		f.Errorf("after the grace period Candidates open to %q, want none", got)
	}
	if n := f.sweep(); n != 1 || f.open(pin) != "" {
		f.Errorf("Sweep = %d, want the kept version destroyed", n)
	}
}

func expiry(f *fixture) {
	p := f.service()
	v := f.version(p, "one")
	v.ExpiresAt = f.clock.Add(time.Hour)
	f.put(v)
	c := f.candidate(p.Service, p.Name)
	if !c.ExpiresAt.Equal(v.ExpiresAt) || f.sweep() != 0 {
		f.Errorf("the candidate expires at %v, want %v", c.ExpiresAt, v.ExpiresAt)
	}
	f.advance(time.Hour)
	s, all, err := f.Secret(f.Context(), p, f.clock)
	f.must(err)
	if len(f.values(p.Service, "")) != 0 || s.Live != 0 || all[0].State(f.clock) != secretstore.Expired {
		f.Errorf("an expired secret is %+v %+v, want none live", s, all)
	}
	if n := f.sweep(); n != 1 || f.open(c.Pin) != "" {
		f.Errorf("Sweep = %d, want the expired version destroyed", n)
	}
	f.set(p, "two")
	if got := f.values(p.Service, ""); got["SERVICE api_token"] != "two" {
		f.Errorf("Candidates open to %q, want two", got)
	}
}

func pins(f *fixture) {
	p := f.service()
	f.set(p, "one")
	pin := f.candidate(p.Service, p.Name).Pin
	end, err := f.Accept(p.Service, pin)
	f.must(err)
	endOther, err := f.Accept(p.Service, pin)
	f.must(err)
	f.set(p, "two")
	f.sweep()
	end()
	f.sweep()
	if got := f.open(pin); got != "one" {
		f.Errorf("a pinned version opens to %q, want one", got)
	}
	endOther()
	if n := f.sweep(); n != 1 || f.open(pin) != "" {
		f.Errorf("after the last execution Sweep = %d, want the version destroyed", n)
	}
	_, err = f.Accept(p.Service, pin)
	f.wants("Accept(a destroyed version)", err, store.ErrPinGone)
	_, err = f.Accept(p.Service, f.candidate(p.Service, p.Name).Pin, pin)
	f.wants("Accept(one version of two is destroyed)", err, store.ErrPinGone)
}

func deletedWhilePinned(f *fixture) {
	p := f.service()
	f.set(p, "one")
	pin := f.candidate(p.Service, p.Name).Pin
	end, err := f.Accept(p.Service, pin)
	f.must(err)
	f.must(f.Delete(f.Context(), p, 0, f.clock))
	f.wants("Delete(a deleted secret)", f.Delete(f.Context(), p, 0, f.clock), access.ErrNotFound)
	f.set(p, "of the next secret")
	f.sweep()
	if got := f.open(pin); got != "one" {
		f.Errorf("a pinned version of a deleted secret opens to %q, want one", got)
	}
	if c := f.candidate(p.Service, p.Name); c.Number != 1 || f.open(c.Pin) != "of the next secret" {
		f.Errorf("the candidate is %+v, want the next secret", c)
	}
	end()
	if f.sweep(); f.open(pin) != "" {
		f.Error("the deleted version is there after the execution, want it destroyed")
	}
}

func allOrNothing(f *fixture) {
	p := f.service()
	other := p
	other.Name = "other"
	f.set(p, "one")
	second, third := f.version(p, "two"), f.version(other, "x")
	third.Existing = true
	f.wants("Put(one of two cannot be set)", f.Put(f.Context(), []secretstore.NewVersion{second, third}, 10), access.ErrNotFound)
	if got := f.values(p.Service, ""); got["SERVICE api_token"] != "one" {
		f.Errorf("after a refused import Candidates open to %q, want one", got)
	}
}
