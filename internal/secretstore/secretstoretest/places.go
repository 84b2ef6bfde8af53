package secretstoretest

import (
	"errors"
	"math/rand/v2" //nolint:depguard // the same seed must make the same changes
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/vault"
)

func places(f *fixture) {
	p := f.service()
	f.wants("Put(no service)", f.Put(f.Context(), []secretstore.NewVersion{f.version(secretstore.Place{
		Kind: secretstore.OfService, Tenant: p.Tenant, Service: "none", Name: "a",
	}, "x")}, 10), access.ErrNotFound)
	f.wants("Put(no subscription)", f.Put(f.Context(), []secretstore.NewVersion{f.version(secretstore.Place{
		Kind: secretstore.OfSubscription, Tenant: p.Tenant, Service: p.Service, Subscription: "none", Application: "none", Name: "a",
	}, "x")}, 10), access.ErrNotFound)
	f.set(p, "one")
	stranger := p
	stranger.Tenant = f.Tenant("stranger")
	_, _, err := f.Secret(f.Context(), stranger, f.clock)
	f.wants("Secret(of another tenant)", err, access.ErrNotFound)
	f.wants("Delete(of another tenant)", f.Delete(f.Context(), stranger, 0, f.clock), access.ErrNotFound)
}

func candidates(f *fixture) {
	p := f.service()
	subscriber := f.Tenant("subscriber")
	app, subscription := f.Subscription(subscriber, "app", p.Service)
	otherApp, _ := f.Subscription(subscriber, "other", p.Service)
	of := secretstore.Place{Kind: secretstore.OfSubscription, Tenant: subscriber, Service: p.Service, Subscription: subscription, Application: app, Name: p.Name}
	f.set(p, "of the service")
	f.set(of, "of the subscription")
	if got := f.values(p.Service, app); got["SERVICE api_token"] != "of the service" || got["SUBSCRIPTION api_token"] != "of the subscription" || len(got) != 2 {
		f.Errorf("Candidates(app) open to %q, want both", got)
	}
	for _, application := range []string{"", otherApp, "none"} {
		if got := f.values(p.Service, application); got["SERVICE api_token"] != "of the service" || len(got) != 1 {
			f.Errorf("Candidates(%q) open to %q, want that of the service only", application, got)
		}
	}
}

func bindings(f *fixture) {
	p := f.service()
	of := secretstore.Place{Kind: secretstore.OfTenant, Tenant: p.Tenant, Name: "shared"}
	f.set(of, "of the tenant")
	if got := f.values(p.Service, ""); len(got) != 0 {
		f.Errorf("without a binding Candidates open to %q, want none", got)
	}
	b := secretstore.Binding{Service: p.Service, Parameter: "password"}
	f.must(f.Bind(f.Context(), of, b, 10))
	f.must(f.Bind(f.Context(), of, secretstore.Binding{Service: p.Service, Parameter: "again"}, 10))
	f.wants("Bind(too many)", f.Bind(f.Context(), of, secretstore.Binding{Service: p.Service, Parameter: "more"}, 2), access.ErrConflict)
	f.wants("Bind(no service)", f.Bind(f.Context(), of, secretstore.Binding{Service: "none", Parameter: "a"}, 10), access.ErrNotFound)
	if got := f.values(p.Service, ""); got["TENANT password"] != "of the tenant" || len(got) != 2 {
		f.Errorf("Candidates open to %q, want both parameters", got)
	}
	if s, _, err := f.Secret(f.Context(), of, f.clock); err != nil || len(s.Bindings) != 2 || s.Bindings[1] != b {
		f.Errorf("Secret = %+v, %v; want both bindings", s, err)
	}
	// A service of another tenant gets nothing, even if it was bound.
	stranger := f.Tenant("stranger")
	foreign := f.Service(stranger, "foreign")
	f.must(f.Bind(f.Context(), of, secretstore.Binding{Service: foreign, Parameter: "password"}, 10))
	if got := f.values(foreign, ""); len(got) != 0 {
		f.Errorf("Candidates of a foreign service open to %q, want none", got)
	}
	next := of
	next.Name = "next"
	f.set(next, "of the next")
	f.must(f.Bind(f.Context(), next, b, 10))
	if got := f.values(p.Service, ""); got["TENANT password"] != "of the next" {
		f.Errorf("Candidates open to %q, want the binding moved", got)
	}
	f.wants("Unbind(of another secret)", f.Unbind(f.Context(), of, b), access.ErrNotFound)
	f.must(f.Unbind(f.Context(), next, b))
	f.must(f.Delete(f.Context(), of, 0, f.clock))
	if got := f.values(p.Service, ""); len(got) != 0 {
		f.Errorf("Candidates open to %q, want none", got)
	}
}

func queries(f *fixture) {
	p := f.service()
	app, subscription := f.Subscription(p.Tenant, "app", p.Service)
	of := secretstore.Place{Kind: secretstore.OfSubscription, Tenant: p.Tenant, Service: p.Service, Subscription: subscription, Application: app, Name: p.Name}
	shared := secretstore.Place{Kind: secretstore.OfTenant, Tenant: p.Tenant, Name: "shared"}
	ending := f.version(p, "x")
	ending.ExpiresAt = f.clock.Add(time.Hour)
	f.put(ending)
	f.set(of, "x")
	f.set(shared, "x")
	f.set(secretstore.Place{Kind: secretstore.OfTenant, Tenant: f.Tenant("other"), Name: "shared"}, "x")
	bound := secretstore.Place{Kind: secretstore.OfTenant, Tenant: p.Tenant, Name: "bound"}
	f.set(bound, "x")
	f.must(f.Bind(f.Context(), bound, secretstore.Binding{Service: p.Service, Parameter: "password"}, 10))
	for _, c := range []struct {
		query secretstore.Query
		want  []secretstore.Kind
		total int
	}{
		{secretstore.Query{}, []secretstore.Kind{secretstore.OfService, secretstore.OfSubscription, secretstore.OfTenant, secretstore.OfTenant}, 4},
		{secretstore.Query{Limit: 1, Offset: 1}, []secretstore.Kind{secretstore.OfSubscription}, 4},
		{secretstore.Query{Kind: secretstore.OfTenant}, []secretstore.Kind{secretstore.OfTenant, secretstore.OfTenant}, 2},
		{secretstore.Query{Service: p.Service}, []secretstore.Kind{secretstore.OfService, secretstore.OfSubscription}, 2},
		{secretstore.Query{Application: app}, []secretstore.Kind{secretstore.OfSubscription}, 1},
		{secretstore.Query{ExpiresBefore: f.clock.Add(2 * time.Hour)}, []secretstore.Kind{secretstore.OfService}, 1},
		{secretstore.Query{ExpiresBefore: f.clock.Add(time.Minute)}, nil, 0},
		{secretstore.Query{Unbound: true}, []secretstore.Kind{secretstore.OfTenant}, 1},
		{secretstore.Query{BoundTo: p.Service}, []secretstore.Kind{secretstore.OfTenant}, 1},
		{secretstore.Query{BoundTo: "none"}, nil, 0},
	} {
		c.query.Tenant, c.query.Now = p.Tenant, f.clock
		found, total, err := f.Secrets(f.Context(), c.query)
		f.must(err)
		var kinds []secretstore.Kind
		for _, s := range found {
			kinds = append(kinds, s.Kind)
		}
		if !slices.Equal(kinds, c.want) || total != c.total {
			f.Errorf("Secrets(%+v) = %v of %d, want %v of %d", c.query, kinds, total, c.want, c.total)
		}
	}
}

func goneWithSubscription(f *fixture) {
	p := f.service()
	app, subscription := f.Subscription(p.Tenant, "app", p.Service)
	of := secretstore.Place{Kind: secretstore.OfSubscription, Tenant: p.Tenant, Service: p.Service, Subscription: subscription, Application: app, Name: p.Name}
	f.set(of, "one")
	all, err := f.Candidates(f.Context(), p.Service, app, f.clock)
	f.must(err)
	end, err := f.Accept(p.Service, all[0].Pin)
	f.must(err)
	f.Unsubscribe(p.Tenant, subscription)
	f.sweep()
	_, _, err = f.Secret(f.Context(), of, f.clock)
	f.wants("Secret(of a subscription that has ended)", err, access.ErrNotFound)
	if got := f.open(all[0].Pin); got != "one" {
		f.Errorf("the pinned version opens to %q, want one", got)
	}
	end()
	if f.sweep(); f.open(all[0].Pin) != "" {
		f.Error("the secret of a subscription that has ended is there, want it destroyed")
	}
}

func goneWithService(f *fixture) {
	p := f.service()
	of := secretstore.Place{Kind: secretstore.OfTenant, Tenant: p.Tenant, Name: "shared"}
	f.set(p, "one")
	f.set(of, "two")
	f.must(f.Bind(f.Context(), of, secretstore.Binding{Service: p.Service, Parameter: "password"}, 10))
	pin := f.candidate(p.Service, p.Name).Pin
	f.DeleteService(p.Service)
	if f.sweep(); f.open(pin) != "" {
		f.Error("the secret of a deleted service is there, want it destroyed")
	}
	if s, _, err := f.Secret(f.Context(), of, f.clock); err != nil || len(s.Bindings) != 0 || s.Live != 1 {
		f.Errorf("the secret of the tenant is %+v, %v; want it without bindings", s, err)
	}
}

func bounds(f *fixture) {
	p := f.service()
	f.set(p, "one")
	other := p
	other.Name = "other"
	f.wants("Put(more than the limit)", f.Put(f.Context(), []secretstore.NewVersion{f.version(other, "x")}, 1), access.ErrConflict)
	f.must(f.Put(f.Context(), []secretstore.NewVersion{f.version(p, "x")}, 1))
	var err error
	for range secretstore.MaxKept {
		v := f.version(p, "x")
		v.Keep = time.Hour
		if err = f.Put(f.Context(), []secretstore.NewVersion{v}, 10); err != nil {
			break
		}
	}
	f.wants("Put(too many kept versions)", err, access.ErrConflict)
	f.advance(2 * time.Hour)
	for range secretstore.MaxHistory + 20 {
		f.set(p, "x")
	}
	_, all, err := f.Secret(f.Context(), p, f.clock)
	f.must(err)
	if len(all) != secretstore.MaxHistory {
		f.Errorf("the history has %d versions, want %d", len(all), secretstore.MaxHistory)
	}
}

func uses(f *fixture) {
	p := f.service()
	f.set(p, "one")
	pin, late := f.candidate(p.Service, p.Name).Pin, f.clock.Add(time.Minute)
	f.must(f.MarkUsed(f.Context(), map[int64]secretstore.Use{pin: {At: late, Execution: "later"}, 999: {At: late}}))
	f.must(f.MarkUsed(f.Context(), map[int64]secretstore.Use{pin: {At: f.clock, Execution: "earlier"}}))
	s, all, err := f.Secret(f.Context(), p, f.clock)
	f.must(err)
	if !s.UsedAt.Equal(late) || !all[0].UsedAt.Equal(late) || all[0].UsedBy != "later" {
		f.Errorf("the use is noted as %+v %+v, want the later one", s, all)
	}
}

// owners has each visit of Reseal get the owner that seals.
func owners(f *fixture) {
	p := f.service()
	app, subscription := f.Subscription(p.Tenant, "app", p.Service)
	f.set(p, "one")
	f.set(secretstore.Place{Kind: secretstore.OfSubscription, Tenant: p.Tenant, Service: p.Service, Subscription: subscription, Application: app, Name: p.Name}, "two")
	f.set(secretstore.Place{Kind: secretstore.OfTenant, Tenant: p.Tenant, Name: "a.b-c"}, "three")
	var found []string
	f.must(f.Reseal(func(owner vault.Owner, sealed vault.Sealed) (vault.Sealed, bool, error) {
		if !strings.HasPrefix(owner.String(), "stored-secret-") {
			return sealed, false, nil
		}
		secrets, err := Ring().Open(owner, sealed)
		if err != nil {
			return nil, false, err
		}
		found = append(found, string(secrets["value"].Reveal()))
		return sealed, false, nil
	}))
	slices.Sort(found)
	found = slices.Compact(found) // a repeated transaction visits them again
	if want := []string{"one", "three", "two"}; !slices.Equal(found, want) {
		f.Errorf("Reseal visits %q, want %q", found, want)
	}
}

// randomChanges compares a store with a model: a pinned version always opens, and one that
// counts no more is gone after a sweep.
func randomChanges(f *fixture) {
	p := f.service()
	random := rand.New(rand.NewPCG(7, 0)) //nolint:gosec // the same ones each time
	type execution struct {
		pin   int64
		value string
		end   func()
	}
	var running []execution
	values := map[int64]string{}
	current := ""
	for step := range 300 {
		switch random.IntN(6) {
		case 0, 1:
			current = uuid.NewString()
			v := f.version(p, current)
			v.Keep = time.Duration(random.IntN(3)) * time.Minute
			if err := f.Put(f.Context(), []secretstore.NewVersion{v}, 10); errors.Is(err, access.ErrConflict) {
				current = values[f.candidate(p.Service, p.Name).Pin]
				f.advance(3 * time.Minute)
			} else {
				f.must(err)
				values[f.candidate(p.Service, p.Name).Pin] = current
			}
		case 2:
			if c := f.candidate(p.Service, p.Name); c.Pin != 0 {
				end, err := f.Accept(p.Service, c.Pin)
				f.must(err)
				running = append(running, execution{c.Pin, current, end})
			}
		case 3:
			if len(running) > 0 {
				i := random.IntN(len(running))
				running[i].end()
				running = slices.Delete(running, i, i+1)
			}
		case 4:
			f.sweep()
		case 5:
			f.advance(time.Duration(random.IntN(90)) * time.Second)
		}
		if c := f.candidate(p.Service, p.Name); current != "" && f.open(c.Pin) != current {
			f.Fatalf("step %d: the candidate opens to %q, want %q", step, f.open(c.Pin), current)
		}
		for _, e := range running {
			if got := f.open(e.pin); got != e.value {
				f.Fatalf("step %d: a pinned version opens to %q, want %q", step, got, e.value)
			}
		}
	}
	for _, e := range running {
		e.end()
	}
	f.advance(time.Hour)
	f.sweep()
	for pin, value := range values {
		if got := f.open(pin); value != current && got != "" {
			f.Errorf("version %d is there after all executions, want it destroyed", pin)
		}
	}
}
