package storetest

import (
	"errors"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// model is what a store should hold, kept in the simplest way.
type model struct {
	*fixture
	order []execution.ID
	all   map[execution.ID]*modelled
}

type modelled struct {
	service string
	status  execution.Status
	owner   string
}

// checkModel draws sequences of operations. After each of them it checks that the
// store agrees with the model on states and load, and that no service exceeds its
// bounds.
func checkModel(f *fixture) {
	outer := f.T
	rapid.Check(outer, func(t *rapid.T) {
		m := &model{fixture: newFixture(outer, f.open), all: map[execution.ID]*modelled{}}
		defer func() { _ = m.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"accept":  m.acceptAny,
			"claim":   m.claimAny,
			"start":   m.startAny,
			"finish":  m.finishAny,
			"cancel":  m.cancelAny,
			"release": m.releaseAny,
			"expire":  m.expire,
			"":        m.compare,
		})
	})
}

const modelConcurrency = 2

var (
	drawService = rapid.SampledFrom([]string{service, other})
	drawOwner   = rapid.SampledFrom([]string{worker, rival})
)

func (m *model) pick(t *rapid.T) (execution.ID, *modelled) {
	if len(m.order) == 0 {
		t.Skip("nothing was accepted yet")
	}
	// By place, as ids are random and draws have to be repeatable.
	id := m.order[rapid.IntRange(0, len(m.order)-1).Draw(t, "execution")]
	return id, m.all[id]
}

// load counts executions that wait and those that have an owner.
func (m *model) load(serviceID string) (waiting, active int) {
	for _, e := range m.all {
		switch {
		case e.service != serviceID:
		case e.owner != "":
			active++
		case e.status == execution.Pending:
			waiting++
		}
	}
	return waiting, active
}

func (m *model) acceptAny(t *rapid.T) {
	a := newExecution(drawService.Draw(t, "service"))
	a.Queue = store.QueueLimit{PerService: 4, Total: 6}
	if rapid.Bool().Draw(t, "claim") {
		a.Claim = &store.Lease{Owner: drawOwner.Draw(t, "owner"), Lease: lease, Concurrency: modelConcurrency}
	}
	waiting, active := m.load(a.Execution.ServiceID)
	otherWaiting := 0
	for _, s := range []string{service, other} {
		if s != a.Execution.ServiceID {
			otherWaiting, _ = m.load(s)
		}
	}
	claims := a.Claim != nil && waiting == 0 && active < modelConcurrency
	full := !claims && (waiting >= 4 || waiting+otherWaiting >= 6)
	accepted, err := m.Accept(m.Context(), a)
	if errors.Is(err, store.ErrQueueFull) != full || (err != nil) != full || accepted.Claimed != claims {
		t.Fatalf("%d wait, %d and %d active: claimed %v, %v", waiting, otherWaiting, active, accepted.Claimed, err)
	}
	if err != nil {
		return
	}
	e := &modelled{service: a.Execution.ServiceID, status: execution.Pending}
	if claims {
		e.owner = a.Claim.Owner
	}
	m.order = append(m.order, a.Execution.ID)
	m.all[a.Execution.ID] = e
}

func (m *model) claimAny(t *rapid.T) {
	c := store.ClaimRequest{
		Owner: drawOwner.Draw(t, "owner"), Lease: lease, Max: rapid.IntRange(1, 4).Draw(t, "max"),
		Services: []store.ServiceLimit{
			{ServiceID: service, Concurrency: modelConcurrency}, {ServiceID: other, Concurrency: modelConcurrency},
		},
	}
	var want []execution.ID
	for _, id := range m.order {
		e := m.all[id]
		_, active := m.load(e.service)
		if len(want) < c.Max && e.status == execution.Pending && e.owner == "" && active < modelConcurrency {
			e.owner = c.Owner
			want = append(want, id)
		}
	}
	claimed, err := m.Claim(m.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var got []execution.ID
	for _, one := range claimed {
		got = append(got, one.Execution.ID)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("claimed %v, want %v", got, want)
	}
}

func (m *model) startAny(t *rapid.T) {
	id, e := m.pick(t)
	owner := drawOwner.Draw(t, "owner")
	_, err := m.Start(m.Context(), id, owner)
	if allowed := e.status == execution.Pending && e.owner == owner; (err == nil) != allowed {
		t.Fatalf("start of one that is %s by %q for %q: %v", e.status, owner, e.owner, err)
	}
	if err == nil {
		e.status = execution.Running
	}
}

func (m *model) finishAny(t *rapid.T) {
	id, e := m.pick(t)
	owner := drawOwner.Draw(t, "owner")
	to := rapid.SampledFrom([]execution.Status{execution.Succeeded, execution.Failed, execution.Cancelled}).Draw(t, "to")
	_, err := m.Finish(m.Context(), store.FinishParams{ID: id, Owner: owner, Status: to})
	if allowed := e.owner == owner && execution.Transition(e.status, to) == nil; (err == nil) != allowed {
		t.Fatalf("finish of one that is %s by %q for %q: %v", e.status, owner, e.owner, err)
	}
	if err == nil {
		e.status, e.owner = to, ""
	}
}

func (m *model) cancelAny(t *rapid.T) {
	id, e := m.pick(t)
	if _, err := m.Cancel(m.Context(), id); err != nil {
		t.Fatal(err)
	}
	if e.status == execution.Pending {
		e.status, e.owner = execution.Cancelled, ""
	}
}

func (m *model) releaseAny(t *rapid.T) {
	id, e := m.pick(t)
	owner := drawOwner.Draw(t, "owner")
	if err := m.Release(m.Context(), owner, id); err != nil {
		t.Fatal(err)
	}
	if e.owner == owner && e.status == execution.Pending {
		e.owner = ""
	}
}

// expire lets all leases end while one worker is alive.
func (m *model) expire(t *rapid.T) {
	self := drawOwner.Draw(t, "owner")
	m.clock.Advance(2 * lease)
	if _, err := m.Recover(m.Context(), self); err != nil {
		t.Fatal(err)
	}
	for _, e := range m.all {
		switch {
		case e.owner == "" || e.owner == self:
		case e.status == execution.Running:
			e.status, e.owner = execution.Failed, ""
		default:
			e.owner = ""
		}
	}
}

func (m *model) compare(t *rapid.T) {
	load, err := m.QueueStats(m.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{service, other} {
		waiting, active := m.load(s)
		if got := load.Services[s]; got.Pending != waiting || got.Active != active {
			t.Fatalf("%s: %+v, want %d waiting and %d active", s, got, waiting, active)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.all)) {
		e, err := m.Get(m.Context(), id)
		if err != nil || e.Status != m.all[id].status {
			t.Fatalf("%v, %s instead of %s", err, e.Status, m.all[id].status)
		}
	}
}
