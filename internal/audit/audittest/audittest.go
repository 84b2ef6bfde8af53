// Package audittest has the suite that every [audit.Store] passes.
package audittest

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
)

// Run runs the suite on stores that open makes empty.
func Run(t *testing.T, open func(t *testing.T) audit.Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(*testing.T, audit.Store)
	}{
		{"chains are by tenant", byTenant}, {"pages", pages}, {"writers at once", atOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

func entry(tenant, action string) audit.Entry {
	return audit.Entry{
		Tenant: tenant, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Actor: audit.Actor{Kind: "person", ID: "u"},
		Action: action, Target: "/things/1", Outcome: audit.Done, Details: map[string]string{"b": "2", "a": "1"},
	}
}

func mustAppend(t *testing.T, s audit.Store, e audit.Entry) {
	t.Helper()
	if err := s.Append(t.Context(), e); err != nil {
		t.Fatalf("Append() = %v, want nil", err)
	}
}

// chain reads a chain and verifies it.
func chain(t *testing.T, s audit.Store, tenant string, page int) []audit.Entry {
	t.Helper()
	var entries []audit.Entry
	v := audit.NewVerifier(tenant)
	for {
		links, err := s.Links(t.Context(), tenant, v.Head().Number, page)
		if err != nil {
			t.Fatalf("Links() = %v, want nil", err)
		}
		for _, l := range links {
			if err := v.Add(l); err != nil {
				t.Fatalf("the chain after %s: %v", v.Head(), err)
			}
			e, err := l.Read()
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, e)
		}
		if len(links) < page {
			return entries
		}
	}
}

func byTenant(t *testing.T, s audit.Store) {
	for _, e := range []audit.Entry{entry("a", "one"), entry("b", "two"), entry("a", "three")} {
		mustAppend(t, s, e)
	}
	got := chain(t, s, "a", 100)
	for tenant, want := range map[string]int64{"a": 2, "b": 1, "c": 0} {
		if head, err := s.Head(t.Context(), tenant); err != nil || head.Number != want || (want > 0) != (head.Hash != "") {
			t.Errorf("Head(%s) = %v, %v, want the entry %d", tenant, head, err, want)
		}
	}
	if len(got) != 2 || got[0].Action != "one" || got[1].Action != "three" || got[1].Number != 2 || got[1].Details["b"] != "2" {
		t.Errorf("the chain of a is %+v, want its two entries", got)
	}
	if got := chain(t, s, "c", 100); len(got) != 0 {
		t.Errorf("the chain of a tenant without entries is %+v, want none", got)
	}
}

func pages(t *testing.T, s audit.Store) {
	for i := range 25 {
		mustAppend(t, s, entry("a", strconv.Itoa(i)))
	}
	for i, e := range chain(t, s, "a", 10) {
		if e.Action != strconv.Itoa(i) {
			t.Errorf("entry %d is %s, want %d", i, e.Action, i)
		}
	}
}

func atOnce(t *testing.T, s audit.Store) {
	var writers sync.WaitGroup
	for i := range 20 {
		writers.Go(func() {
			if err := s.Append(t.Context(), entry("a", strconv.Itoa(i))); err != nil {
				t.Errorf("Append() = %v, want nil", err)
			}
		})
	}
	writers.Wait()
	if got := chain(t, s, "a", 100); len(got) != 20 {
		t.Errorf("the chain has %d entries, want 20", len(got))
	}
}
