package storetest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

func checkClaimOrder(f *fixture) {
	a := f.waiting(service, 2)
	b := f.waiting(other, 2)
	a = append(a, f.waiting(service, 1)...)
	both := []store.ServiceLimit{{ServiceID: service}, {ServiceID: other}}

	f.wantIDs(f.claimAs(worker, 0, both...), []execution.ID{})
	f.wantIDs(f.claimAs(worker, 3, both...), []execution.ID{a[0], a[1], b[0]})
	f.wantIDs(f.claimAs(worker, 9, store.ServiceLimit{ServiceID: "unknown"}), []execution.ID{})
	f.wantIDs(f.claimAs(worker, 9, store.ServiceLimit{ServiceID: other}), []execution.ID{b[1]})
	f.wantIDs(f.claimAs(worker, 9, both...), []execution.ID{a[2]})
	f.wantIDs(f.claimAs(worker, 9, both...), []execution.ID{})
	_, err := f.Claim(f.Context(), store.ClaimRequest{Max: 1, Services: both})
	f.wants(store.ErrInvalid, err)
}

func checkClaimConcurrency(f *fixture) {
	a, b := f.waiting(service, 4), f.waiting(other, 2)
	limits := []store.ServiceLimit{{ServiceID: service, Concurrency: 2}, {ServiceID: other, Concurrency: 1}}
	// A service at its limit does not hold up another.
	f.wantIDs(f.claimAs(worker, 9, limits...), []execution.ID{a[0], a[1], b[0]})
	f.wantIDs(f.claimAs(rival, 9, limits...), []execution.ID{})
	f.start(a[0])
	f.wantIDs(f.claimAs(rival, 9, limits...), []execution.ID{})
	f.finish(a[0], execution.Succeeded)
	f.wantIDs(f.claimAs(rival, 9, limits...), []execution.ID{a[2]})
	_, err := f.Cancel(f.Context(), a[1])
	f.must(err)
	f.wantIDs(f.claimAs(rival, 9, limits...), []execution.ID{a[3]})
	f.wantLoad(service, 0, 2)
	f.wantLoad(other, 1, 1)
}

func checkClaimInParallel(f *fixture) {
	want := f.waiting(service, 40)
	var mu sync.Mutex
	var got []execution.ID
	errs := inParallel(16, func(int) error {
		for {
			claimed, err := f.Claim(f.Context(), store.ClaimRequest{
				Owner: worker, Lease: lease, Max: 2, Services: []store.ServiceLimit{{ServiceID: service}},
			})
			if err != nil || len(claimed) == 0 {
				return err
			}
			mu.Lock()
			for _, c := range claimed {
				got = append(got, c.Execution.ID)
			}
			mu.Unlock()
		}
	})
	f.must(errors.Join(errs...))
	slices.Sort(got)
	slices.Sort(want)
	f.wantIDs(got, want) // all, and none twice
}

func checkClaimBringsAll(f *fixture) {
	a := newExecution(service)
	a.Execution.ServiceRevision = "r7"
	a.Secrets = f.seal(a.Execution.ID, "value")
	f.accept(a)
	claimed, err := f.Claim(f.Context(), store.ClaimRequest{
		Owner: worker, Lease: lease, Max: 1, Services: []store.ServiceLimit{{ServiceID: service}},
	})
	f.must(err)
	if len(claimed) != 1 || claimed[0].Execution.ServiceRevision != "r7" {
		f.Fatalf("claimed %d", len(claimed))
	}
	equalPayload(f, claimed[0].Request, a.Request)
	opened, err := f.ring.Open(vault.ExecutionOwner(string(a.Execution.ID)), claimed[0].Secrets)
	f.must(err)
	if string(opened["api_token"].Reveal()) != "value" {
		f.Error("the secrets came back changed")
	}
}

func checkHeartbeat(f *fixture) {
	kept, cancelled := f.running(), f.running()
	foreign := execution.NewID()
	_, err := f.Cancel(f.Context(), cancelled)
	f.must(err)

	f.clock.Advance(lease / 2)
	report, err := f.Heartbeat(f.Context(), worker, lease, kept, cancelled, foreign)
	f.must(err)
	f.wantIDs(report.Lost, []execution.ID{foreign})
	f.wantIDs(report.Cancelled, []execution.ID{cancelled})
	report, err = f.Heartbeat(f.Context(), rival, lease, kept)
	f.must(err)
	f.wantIDs(report.Lost, []execution.ID{kept})

	// Past the first lease, within the extended one.
	f.clock.Advance(lease/2 + time.Second)
	recovery, err := f.Recover(f.Context(), rival)
	f.must(err)
	if len(recovery.Interrupted)+len(recovery.Requeued) != 0 {
		f.Errorf("recovered although the heart beats: %+v", recovery)
	}
	_, err = f.Heartbeat(f.Context(), "", lease, kept)
	f.wants(store.ErrInvalid, err)
}

func checkRelease(f *fixture) {
	ids := f.waiting(service, 2)
	f.claimAs(worker, 2)
	f.start(ids[0])
	f.must(f.Release(f.Context(), rival, ids...))
	f.wantLoad(service, 0, 2)
	f.must(f.Release(f.Context(), worker, append(ids, execution.NewID())...))
	// A running execution is not given back.
	f.wantLoad(service, 1, 1)
	f.wantStatus(ids[0], execution.Running)
	f.wantIDs(f.claimAs(rival, 9), ids[1:])
}

func checkRecover(f *fixture) {
	started := f.running()
	waiting := f.waiting(service, 2)
	f.claimAs(worker, 1)

	f.clock.Advance(lease - 5*time.Second)
	recovery, err := f.Recover(f.Context(), rival)
	f.must(err)
	if len(recovery.Interrupted)+len(recovery.Requeued) != 0 {
		f.Fatalf("recovered before the lease had ended: %+v", recovery)
	}
	f.clock.Advance(10 * time.Second)
	recovery, err = f.Recover(f.Context(), rival)
	f.must(err)
	f.wantIDs(recovery.Interrupted, []execution.ID{started})
	f.wantIDs(recovery.Requeued, waiting[:1])

	e := f.get(started)
	if e.Status != execution.Failed || e.Problem == nil || e.Problem.Type != execution.TypeInterrupted || !e.EndedAt.Equal(f.clock.Now()) {
		f.Errorf("interrupted: %+v", e)
	}
	if n := f.sealedLeft(); n != 0 {
		f.Errorf("%d sets of secrets outlived their execution", n)
	}
	f.wantIDs(f.claimAs(rival, 9), waiting)
	// The dead worker comes back: it owns nothing any more.
	_, err = f.Finish(f.Context(), store.FinishParams{ID: started, Owner: worker, Status: execution.Succeeded})
	f.wants(store.ErrLeaseLost, err)
	_, err = f.Start(f.Context(), waiting[0], worker)
	f.wants(store.ErrLeaseLost, err)
	report, err := f.Heartbeat(f.Context(), worker, lease, started, waiting[0])
	f.must(err)
	f.wantIDs(report.Lost, []execution.ID{started, waiting[0]})
}

// checkRecoverSparesSelf: a laptop that slept past all its leases must not fail the
// executions of the server that slept.
func checkRecoverSparesSelf(f *fixture) {
	id := f.running()
	f.clock.Advance(24 * time.Hour)
	recovery, err := f.Recover(f.Context(), worker)
	f.must(err)
	if len(recovery.Interrupted) != 0 {
		f.Error("a worker recovered its own execution")
	}
	f.finish(id, execution.Succeeded)
}

func checkRecoverMany(f *fixture) {
	const many = 450
	errs := inParallel(many, func(int) error {
		a := newExecution(service)
		a.Claim = &store.Lease{Owner: worker, Lease: lease}
		_, err := f.Accept(f.Context(), a)
		return err
	})
	f.must(errors.Join(errs...))
	f.clock.Advance(2 * lease)
	recovery, err := f.Recover(f.Context(), rival)
	f.must(err)
	if len(recovery.Requeued) != many {
		f.Errorf("%d of %d recovered", len(recovery.Requeued), many)
	}
	f.wantLoad(service, many, 0)
}
