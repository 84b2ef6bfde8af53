//go:build unix

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// versioned has one secret in versions.
type versioned struct {
	mu       sync.Mutex
	newest   int64
	fixed    bool
	offer    error
	open     error
	opened   []int64
	used     []int64
	notFound bool
	denied   []string
	// stale is how often Offer names a version that was destroyed meanwhile.
	stale int
}

// keepVersions makes the versions 1 and 2 in the store, to be pinned.
func (s *server) keepVersions() {
	s.t.Helper()
	ring, err := vault.OpenFile(filepath.Join(s.dir, "master.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	place := secretstore.Place{Kind: secretstore.OfTenant, Tenant: "tenant", Name: "token"}
	for _, id := range []string{"one", "two"} {
		sealed, err := ring.Seal(place.Owner(id), vault.Secrets{"value": plaintext.FromString("x")})
		if err == nil {
			err = s.store.Secrets().Put(s.t.Context(), []secretstore.NewVersion{{Place: place, ID: id, Sealed: sealed, SetAt: time.Now(), Keep: time.Hour}}, 10)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func (v *versioned) Offer(context.Context) (map[string]engine.StoredVersion, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.newest == 0 || v.offer != nil {
		return nil, v.offer
	}
	if v.stale > 0 {
		v.stale--
		return map[string]engine.StoredVersion{"api_token": {Version: 77}}, nil
	}
	return map[string]engine.StoredVersion{"api_token": {Version: v.newest, Fixed: v.fixed}, "no_parameter": {Version: 99}}, nil
}

func (v *versioned) Denied(_ context.Context, parameters []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.denied = append(v.denied, parameters...)
}

func (v *versioned) Used(_ execution.Execution, pins map[string]int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, pin := range pins {
		v.used = append(v.used, pin)
	}
}

func (v *versioned) Open(_ context.Context, _ execution.Execution, pins map[string]int64) (map[string]engine.ResolvedSecret, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.open != nil {
		return nil, v.open
	}
	found := map[string]engine.ResolvedSecret{}
	for name, pin := range pins {
		v.opened = append(v.opened, pin)
		if !v.notFound {
			found[name] = engine.ResolvedSecret{Value: plaintext.FromString(fmt.Sprintf("value-of-version-%d", pin)), From: "the test"}
		}
	}
	return found, nil
}

// TestStoredSecrets has an execution that waits keep the version that it was accepted with,
// and a secret in the request replace the stored one.
func TestStoredSecrets(t *testing.T) {
	t.Parallel()
	s, stored := serve(t, t.TempDir()), &versioned{}
	r := requiring(t, func(signature.Parameter) (value plaintext.Bytes, from string, ok bool) { return value, "", false })
	r.Resolvers.Stored, r.Concurrency = stored, 1
	set := func(change func()) {
		stored.mu.Lock()
		defer stored.mu.Unlock()
		change()
	}
	s.keepVersions()
	s.set(r)
	if _, err := s.trySubmit(action("leak")); err == nil {
		t.Error("Submit(nothing is stored) = no error, want one about the missing secret")
	}
	if described, err := r.RequestSignature(t.Context()); err != nil || !required(described, "api_token") {
		t.Errorf("RequestSignature(nothing is stored) = %v, want the secret required", err)
	}
	set(func() { stored.newest = 1 })
	if described, err := r.RequestSignature(t.Context()); err != nil || required(described, "api_token") {
		t.Errorf("RequestSignature(a secret is stored) = %v, want it optional", err)
	}
	path, letGo := pipe(t)
	held := s.submit(action("hold").with("text", path))
	s.awaitLog(held, "ready")
	waiting := s.submit(action("leak"))
	large := s.submit(action("leak").with("text", strings.Repeat("x", 300<<10)))
	set(func() { stored.newest = 2 })
	letGo()
	s.wait(held)
	for _, id := range []execution.ID{waiting, large} {
		if e := s.wait(id); e.Status != execution.Succeeded {
			t.Errorf("the execution is %s: %v, want SUCCEEDED", e.Status, e.Problem)
		}
		if log := s.text(id); !strings.Contains(log, "[redacted]") || strings.Contains(log, "value-of") {
			t.Errorf("the log is %q, want the stored secret masked", log)
		}
	}
	s.run(action("leak"))
	s.run(action("leak").token("of-the-caller"))
	if got := fmt.Sprint(stored.opened, stored.used); got != "[1 1 1 2] [1 1 1 2]" {
		t.Errorf("the versions %s were opened and used, want those of the acceptance, and none for a secret of the request", got)
	}
	set(func() { stored.stale = 2 })
	s.run(action("leak"))
	set(func() { stored.stale = 100 })
	if _, err := s.trySubmit(action("leak")); !errors.Is(err, store.ErrPinGone) {
		t.Errorf("Submit(no version is ever there) = %v, want %v", err, store.ErrPinGone)
	}
	set(func() { stored.stale, stored.fixed = 0, true })
	_, err := s.trySubmit(action("leak").token("of-the-caller"))
	if errs, ok := errors.AsType[signature.Errors](err); !ok || errs[0].Path != "$secrets.api_token" || strings.Contains(err.Error(), "of-the-caller") {
		t.Errorf("Submit(a secret that may not be replaced) = %v, want an error about it", err)
	}
	s.run(action("leak"))
	if got := fmt.Sprint(stored.denied); got != "[api_token]" {
		t.Errorf("Denied was called with %s, want the secret of the refused request once", got)
	}
}

// TestStoredSecretsFail has each method fail: nothing runs without its secret.
func TestStoredSecretsFail(t *testing.T) {
	t.Parallel()
	s, stored := serve(t, t.TempDir()), &versioned{newest: 1, offer: errResolver}
	r := requiring(t, nil)
	r.Resolvers.Secrets, r.Resolvers.Stored = nil, stored
	s.keepVersions()
	s.set(r)
	if _, err := s.trySubmit(action("leak")); !errors.Is(err, errResolver) {
		t.Errorf("Submit(Offer fails) = %v, want %v", err, errResolver)
	}
	for _, change := range []func(){func() { stored.offer, stored.open = nil, errResolver }, func() { stored.open, stored.notFound = nil, true }} {
		change()
		e := s.run(action("leak"))
		if e.Status != execution.Failed || e.Problem.Type != execution.TypeSecrets || !e.StartedAt.IsZero() || strings.Contains(fmt.Sprint(e.Problem), errResolver.Error()) {
			t.Errorf("the execution is %s: %v, want FAILED with %s, not started", e.Status, e.Problem, execution.TypeSecrets)
		}
	}
}
