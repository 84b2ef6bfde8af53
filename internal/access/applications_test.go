package access_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

func isNotFound(err error) bool { return errors.Is(err, access.ErrNotFound) }

func TestAccessKeys(t *testing.T) {
	t.Parallel()
	p := open(t)
	app, first := p.app(p.owner, "app")
	token := p.issue(first)
	caller := p.as(token, "")
	if caller.Kind != access.Application || caller.ID != app.ID || caller.Tenant != p.owner.ID || !caller.May(access.Execute) || caller.May(access.ViewTenant) {
		t.Errorf("Authenticate(an access token) = %+v, want the application, which calls services only", caller)
	}
	second, err := p.RotateAccessKey(t.Context(), p.owner, app.ID, first.ID, time.Hour)
	p.must(err)
	_, err = p.CreateAccessKey(t.Context(), p.owner, app.ID, 0)
	p.wants(access.ErrConflict, err) // two are live
	p.issue(first)                   // for an hour
	p.advance(59 * time.Minute)
	token = p.issue(first)
	p.advance(time.Minute)
	_, err = p.IssueToken(t.Context(), first.ID, first.Secret, "127.0.0.1:1")
	p.wants(access.ErrUnauthenticated, err)
	p.as(token, "") // runs out
	p.issue(second)
	p.must(p.DeleteAccessKey(t.Context(), p.owner, app.ID, first.ID))
	p.refuses(token) // revoked
	keys, err := p.AccessKeys(t.Context(), p.owner, app.ID)
	p.must(err)
	if len(keys) != 1 || keys[0].ID != second.ID || keys[0].UsedAt.IsZero() {
		t.Errorf("AccessKeys = %+v, want the second only, used", keys)
	}
	token = p.issue(second)
	p.as(token, "")
	p.must(p.DeleteApplication(t.Context(), p.owner, app.ID))
	p.refuses(token)
}

// At most two keys are live, however many are asked for at once.
func TestAccessKeysInParallel(t *testing.T) {
	t.Parallel()
	p := open(t)
	app, _ := p.app(p.owner, "app")
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() { _, _ = p.CreateAccessKey(t.Context(), p.owner, app.ID, 0) })
	}
	calls.Wait()
	keys, err := p.AccessKeys(t.Context(), p.owner, app.ID)
	p.must(err)
	if len(keys) != access.MaxAccessKeys {
		t.Errorf("%d keys are live, want %d", len(keys), access.MaxAccessKeys)
	}
}

// Only an OWNER reads a secret, and only for a day, unless the server says otherwise.
func TestRevealedSecrets(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		p := open(t, func(o *access.Options) { o.RevealAccessKeys = always })
		ada, organization := p.person("ada", access.Maintainer)
		app, key := p.app(p.as(p.token, organization), "app")
		reads := func(token string) bool {
			keys, err := p.AccessKeys(t.Context(), p.as(token, organization), app.ID)
			p.must(err)
			return string(keys[0].Secret.Reveal()) == string(key.Secret.Reveal())
		}
		p.advance(access.RevealFor - time.Second)
		if !reads(p.token) || reads(ada) {
			t.Errorf("an OWNER reads the secret: %t, a MAINTAINER: %t, want the OWNER only", reads(p.token), reads(ada))
		}
		p.advance(time.Second)
		if got := reads(p.token); got != always {
			t.Errorf("after a day with RevealAccessKeys=%t: an OWNER reads the secret: %t", always, got)
		}
		p.issue(key) // it works all the same
	}
}

// Sealed secrets follow the master key, and none is left that a former one seals.
func TestMasterKeyRotation(t *testing.T) {
	t.Parallel()
	const secondKey = "2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
	p := open(t)
	app, key := p.app(p.owner, "app")
	both, err := vault.FromText([]byte(firstKey + "," + secondKey))
	p.must(err)
	changed, err := store.Rewrap(t.Context(), p.db, both)
	p.must(err)
	if changed != 2 {
		t.Errorf("Rewrap changed %d, want an access key and a signing key", changed)
	}
	second, err := vault.FromText([]byte(secondKey))
	p.must(err)
	later, err := access.Open(t.Context(), access.Options{Store: p.db.Access(), Keyring: second, Now: p.Now})
	p.must(err)
	defer func() { p.must(later.Close()) }()
	keys, err := later.AccessKeys(t.Context(), p.owner, app.ID)
	p.must(err)
	if string(keys[0].Secret.Reveal()) != string(key.Secret.Reveal()) {
		t.Error("AccessKeys(after the rotation of the master key) gives another secret")
	}
	if _, err := later.Authenticate(request(p.issue(key), "")); err != nil {
		t.Errorf("Authenticate(a token from before) = %v, want no error", err)
	}
}

func TestBadClientCredentials(t *testing.T) {
	t.Parallel()
	p := open(t)
	_, key := p.app(p.owner, "app")
	_, other := p.app(p.owner, "other")
	for _, c := range [][2]string{
		{key.ID, ""},
		{key.ID, string(other.Secret.Reveal())},
		{key.ID, string(key.Secret.Reveal()) + "x"},
		{"", string(key.Secret.Reveal())},
		{"none", string(key.Secret.Reveal())},
	} {
		_, err := p.IssueToken(t.Context(), c[0], secret(c[1]), "127.0.0.1:1")
		p.wants(access.ErrUnauthenticated, err)
	}
}

// A token counts only if this platform has signed it, as a token of its kind.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	p := open(t)
	_, key := p.app(p.owner, "app")
	token := p.issue(key)
	parts := strings.Split(token, ".")
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	p.must(err)
	claims := parsed.Claims.(jwt.MapClaims)
	sign := func(method jwt.SigningMethod, with any, kind string) string {
		forged := jwt.NewWithClaims(method, claims)
		forged.Header["kid"], forged.Header["typ"] = parsed.Header["kid"], kind
		text, err := forged.SignedString(with)
		p.must(err)
		return text
	}
	grant, _, err := p.IssueGrant(access.Grant{Pool: "pool", Application: "app", Permission: "VIEW"})
	p.must(err)
	for name, forged := range map[string]string{
		"no signature":  parts[0] + "." + parts[1] + ".",
		"alg none":      sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "at+jwt"),
		"public key":    sign(jwt.SigningMethodHS256, []byte(p.Keys()[0].X), "at+jwt"),
		"other claims":  parts[0] + ".e30." + parts[2],
		"a grant":       string(grant.Reveal()),
		"a header less": parts[1] + "." + parts[1] + "." + parts[2],
	} {
		if _, err := p.Authenticate(request(forged, "")); !errors.Is(err, access.ErrUnauthenticated) {
			t.Errorf("Authenticate(%s) = %v, want %v", name, err, access.ErrUnauthenticated)
		}
	}
	if _, err := p.OpenGrant(token); !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("OpenGrant(an access token) = %v, want %v", err, access.ErrUnauthenticated)
	}
	opened, err := p.OpenGrant(string(grant.Reveal()))
	if err != nil || opened.Pool != "pool" || opened.Permission != "VIEW" {
		t.Errorf("OpenGrant = %+v, %v, want the grant", opened, err)
	}
	p.advance(access.AccessTokenLifetime - time.Second)
	p.as(token, "")
	p.advance(time.Second)
	p.refuses(token)
	if _, err := p.OpenGrant(string(grant.Reveal())); !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("OpenGrant(after its time) = %v, want %v", err, access.ErrUnauthenticated)
	}
}

// An execution token ends with its execution.
func TestExecutionTokens(t *testing.T) {
	t.Parallel()
	p := open(t)
	value, err := p.ExecutionToken("run", "tenant", "app")
	p.must(err)
	token := string(value.Reveal())
	p.refuses(token) // before it runs
	p.executions.Store("run", true)
	caller := p.as(token, "")
	if caller.Kind != access.Execution || caller.ID != "run" || caller.Tenant != "tenant" || caller.Application != "app" || caller.May(access.Deploy) {
		t.Errorf("Authenticate(an execution token) = %+v, want the execution", caller)
	}
	p.executions.Delete("run")
	p.refuses(token)

	id, tenant, app := uuid.NewString(), uuid.NewString(), uuid.NewString()
	value, err = p.ExecutionToken(id, tenant, app)
	p.must(err)
	token = string(value.Reveal())
	p.executions.Store(id, true)
	if caller := p.as(token, ""); caller.ID != id || caller.Tenant != tenant || caller.Application != app || len(token) > 170 {
		t.Errorf("Authenticate(a token of %d bytes) = %+v, want the execution %s", len(token), caller, id)
	}
	for at := len("qhe_"); at < len(token); at += 3 {
		p.advance(time.Minute) // so many failures are allowed again
		for _, other := range []string{"A", "_", ""} {
			if changed := token[:at] + other + token[at+1:]; changed != token {
				p.refuses(changed)
			}
		}
	}
	p.advance(31 * 24 * time.Hour)
	p.refuses(token) // of an execution that never ends
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	p := open(t)
	app, key := p.app(p.owner, "app")
	caller := p.as(p.issue(key), "")
	service := access.ServiceRef{ID: "service", Tenant: "provider"}
	_, err := p.Authorize(t.Context(), caller, service)
	p.wants(access.ErrNotFound, err)
	made, err := p.Subscribe(t.Context(), p.owner, app.ID, service.ID)
	p.must(err)
	again, err := p.Subscribe(t.Context(), p.owner, app.ID, service.ID)
	p.must(err)
	if again.ID != made.ID {
		t.Errorf("Subscribe twice made %s and %s, want the same", made.ID, again.ID)
	}
	allowed, err := p.Authorize(t.Context(), caller, service)
	p.must(err)
	if !allowed.May(access.Execute) {
		t.Error("a subscribed application may not execute")
	}
	_, err = p.Authorize(t.Context(), p.owner, service) // of another tenant
	p.wants(access.ErrNotFound, err)
	p.must(p.Unsubscribe(t.Context(), p.owner, made.ID))
	_, err = p.Authorize(t.Context(), caller, service)
	p.wants(access.ErrNotFound, err) // at once
	p.wants(access.ErrNotFound, p.Unsubscribe(t.Context(), p.owner, made.ID))
	p.wants(access.ErrNotFound, p.Unsubscribe(t.Context(), p.owner, ""))
}

// Nothing of another tenant can be read, changed or guessed.
func TestApplicationsAreApart(t *testing.T) {
	t.Parallel()
	p := open(t)
	token, _ := p.person("ada", access.Owner)
	ada := p.as(token, "")
	app, key := p.app(p.owner, "app")
	subscription, err := p.Subscribe(t.Context(), p.owner, app.ID, "service")
	p.must(err)
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Application":       func() error { _, err := p.Application(ctx, ada, app.ID); return err },
		"DeleteApplication": func() error { return p.DeleteApplication(ctx, ada, app.ID) },
		"AccessKeys":        func() error { _, err := p.AccessKeys(ctx, ada, app.ID); return err },
		"CreateAccessKey":   func() error { _, err := p.CreateAccessKey(ctx, ada, app.ID, 0); return err },
		"RotateAccessKey":   func() error { _, err := p.RotateAccessKey(ctx, ada, app.ID, key.ID, 0); return err },
		"DeleteAccessKey":   func() error { return p.DeleteAccessKey(ctx, ada, app.ID, key.ID) },
		"Subscribe":         func() error { _, err := p.Subscribe(ctx, ada, app.ID, "other"); return err },
		"Unsubscribe":       func() error { return p.Unsubscribe(ctx, ada, subscription.ID) },
	} {
		if err := call(); !isNotFound(err) {
			t.Errorf("%s(of another tenant) = %v, want %v", name, err, access.ErrNotFound)
		}
	}
	own, _ := p.app(ada, "app") // a name is taken per tenant
	if err := p.DeleteAccessKey(ctx, ada, own.ID, key.ID); !isNotFound(err) {
		t.Errorf("DeleteAccessKey(own application, key of another) = %v, want %v", err, access.ErrNotFound)
	}
	if _, err := p.RotateAccessKey(ctx, ada, own.ID, key.ID, 0); !isNotFound(err) {
		t.Errorf("RotateAccessKey(own application, key of another) = %v, want %v", err, access.ErrNotFound)
	}
	all, err := p.Subscriptions(ctx, ada, access.SubscriptionQuery{Application: app.ID, Tenant: p.owner.ID})
	if err != nil || len(all) != 0 {
		t.Errorf("Subscriptions(of another tenant) = %v, %v, want none", all, err)
	}
	p.issue(key)
}

// An address that fails too often is refused, and only its failures are.
func TestFailuresAreLimited(t *testing.T) {
	t.Parallel()
	p := open(t)
	var err error
	for range 31 {
		_, err = p.Authenticate(request("wrong", ""))
	}
	p.wants(access.ErrTooManyFailures, err)
	p.as(p.token, "")
	p.advance(time.Second)
	_, err = p.Authenticate(request("wrong", ""))
	p.wants(access.ErrUnauthenticated, err)
}

func BenchmarkAuthenticate(b *testing.B) {
	p := open(b)
	_, key := p.app(p.owner, "app")
	application := p.issue(key)
	for name, token := range map[string]string{"person": p.token, "application": application} {
		r := request(token, "")
		b.Run(name+"/cached", func(b *testing.B) {
			for b.Loop() {
				if _, err := p.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/first", func(b *testing.B) {
			for b.Loop() {
				p.Forget()
				if _, err := p.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
