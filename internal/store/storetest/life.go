package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

func checkLife(f *fixture) {
	id := f.waiting(service, 1)[0]
	created := f.get(id).CreatedAt
	f.claimAs(worker, 1)
	f.clock.Advance(time.Second)
	begun, err := f.Start(f.Context(), id, worker)
	f.must(err)
	started := f.clock.Now()
	f.clock.Advance(time.Minute)
	problem := &execution.Problem{Status: 500, Title: "ValueError", Detail: "no", Extensions: map[string]any{"line": "7"}}
	ended, err := f.Finish(f.Context(), store.FinishParams{
		ID: id, Owner: worker, Status: execution.Failed, Problem: problem, Result: []byte(`{"files":["a"]}`),
	})
	f.must(err)
	got := f.get(id)
	if !reflect.DeepEqual(got, ended) {
		f.Errorf("finished as %+v\nread as %+v", ended, got)
	}
	if begun.Status != execution.Running || !begun.StartedAt.Equal(started) || !begun.EndedAt.IsZero() {
		f.Errorf("started: %+v", begun)
	}
	if got.Status != execution.Failed || !got.CreatedAt.Equal(created) || !got.StartedAt.Equal(started) || !got.EndedAt.Equal(f.clock.Now()) {
		f.Errorf("ended: %+v", got)
	}
	if !reflect.DeepEqual(got.Problem, &execution.Problem{
		Type: execution.BlankType, Status: 500, Title: "ValueError", Detail: "no", Extensions: map[string]any{"line": "7"},
	}) || !bytes.Equal(got.Result, json.RawMessage(`{"files":["a"]}`)) {
		f.Errorf("problem %+v, result %s", got.Problem, got.Result)
	}
	f.wantLoad(service, 0, 0)
}

func checkFinishOnlyByOwner(f *fixture) {
	id := f.running()
	for _, owner := range []string{rival, "worker"} {
		_, err := f.Finish(f.Context(), store.FinishParams{ID: id, Owner: owner, Status: execution.Succeeded})
		f.wants(store.ErrLeaseLost, err)
	}
	for _, status := range []execution.Status{execution.Pending, execution.Running, execution.Unknown, "DONE"} {
		_, err := f.Finish(f.Context(), store.FinishParams{ID: id, Owner: worker, Status: status})
		f.wants(store.ErrInvalid, err)
	}
	f.wantStatus(id, execution.Running)
	_, err := f.Start(f.Context(), id, worker)
	f.wants(store.ErrLeaseLost, err) // a second start, even by the owner
	f.finish(id, execution.Succeeded)
	_, err = f.Finish(f.Context(), store.FinishParams{ID: id, Owner: worker, Status: execution.Failed})
	f.wants(store.ErrLeaseLost, err)
	f.wantStatus(id, execution.Succeeded)
}

func checkFinishInParallel(f *fixture) {
	id := f.running()
	errs := inParallel(10, func(int) error {
		_, err := f.Finish(f.Context(), store.FinishParams{ID: id, Owner: worker, Status: execution.Succeeded})
		return err
	})
	if count(errs, nil) != 1 || count(errs, store.ErrLeaseLost) != 9 {
		f.Errorf("not exactly one finished it: %v", errors.Join(errs...))
	}
	f.wantLoad(service, 0, 0)
}

// checkFinishWithoutStart: an execution that cannot be started fails without a start.
func checkFinishWithoutStart(f *fixture) {
	id := f.waiting(service, 1)[0]
	f.claimAs(worker, 1)
	_, err := f.Finish(f.Context(), store.FinishParams{ID: id, Owner: worker, Status: execution.Succeeded})
	f.wants(execution.ErrTransition, err)
	_, err = f.Finish(f.Context(), store.FinishParams{
		ID: id, Owner: worker, Status: execution.Failed, Problem: execution.SecretsUnavailable(),
	})
	f.must(err)
	if e := f.get(id); e.Status != execution.Failed || !e.StartedAt.IsZero() || e.EndedAt.IsZero() {
		f.Errorf("%+v", e)
	}
}

func checkSecretsEnd(f *fixture) {
	f.finish(f.running(), execution.Succeeded)
	f.finish(f.running(), execution.Failed)
	f.finish(f.running(), execution.Cancelled)
	kept := f.running()
	waiting := newExecution(service)
	waiting.Secrets = f.seal(waiting.Execution.ID, "value")
	f.accept(waiting)
	if n := f.sealedLeft(); n != 2 {
		f.Errorf("%d sets of secrets where 2 executions have not ended", n)
	}
	_, err := f.Cancel(f.Context(), waiting.Execution.ID)
	f.must(err)
	_, err = f.Cancel(f.Context(), kept) // marks it only
	f.must(err)
	if n := f.sealedLeft(); n != 1 {
		f.Errorf("%d sets of secrets where 1 execution has not ended", n)
	}
}

func checkCancel(f *fixture) {
	pending := f.waiting(service, 2)
	f.claimAs(worker, 1) // the first is claimed, not started
	for _, id := range pending {
		e, err := f.Cancel(f.Context(), id)
		f.must(err)
		if e.Status != execution.Cancelled || !e.CancelRequested || e.EndedAt.IsZero() || !e.StartedAt.IsZero() || e.Problem != nil {
			f.Errorf("cancelled while it waited: %+v", e)
		}
	}
	_, err := f.Start(f.Context(), pending[0], worker)
	f.wants(store.ErrLeaseLost, err)
	f.wantIDs(f.claimAs(worker, 9), []execution.ID{})
	f.wantLoad(service, 0, 0)

	id := f.running()
	for range 2 {
		e, err := f.Cancel(f.Context(), id)
		f.must(err)
		if e.Status != execution.Running || !e.CancelRequested {
			f.Errorf("cancelled while it ran: %+v", e)
		}
	}
	f.finish(id, execution.Succeeded) // it was faster
	before := f.get(id)
	f.clock.Advance(time.Hour)
	e, err := f.Cancel(f.Context(), id)
	f.must(err)
	if !reflect.DeepEqual(e, before) || !reflect.DeepEqual(f.get(id), before) {
		f.Errorf("a cancellation changed what had ended: %+v", e)
	}
}

func checkPurge(f *fixture) {
	var ended []execution.ID
	for i := range 250 {
		a := newExecution(service)
		a.Execution.Tags = []string{"t"}
		a.Idempotency = &store.Idempotency{Key: string(a.Execution.ID), MACs: mac("body")}
		f.accept(a)
		_, err := f.AppendLog(f.Context(), a.Execution.ID, entry(i))
		f.must(err)
		_, err = f.Cancel(f.Context(), a.Execution.ID)
		f.must(err)
		ended = append(ended, a.Execution.ID)
	}
	f.clock.Advance(time.Hour)
	recent, open := f.running(), f.running()
	f.finish(recent, execution.Succeeded)

	expired, err := f.Expired(f.Context(), f.clock.Now(), 10)
	f.must(err)
	if len(expired) != 10 {
		f.Errorf("%d named where 10 were asked for", len(expired))
	}
	seen := map[execution.ID]bool{}
	failure := errors.New("the files are stuck")
	_, err = store.Purge(f.Context(), f.Store, f.clock.Now(), func(execution.ID) error { return failure })
	f.wants(failure, err)
	f.get(ended[0]) // its files are there, so it is known

	n, err := store.Purge(f.Context(), f.Store, f.clock.Now(), func(id execution.ID) error {
		seen[id] = true
		return nil
	})
	f.must(err)
	if n != len(ended) || len(seen) != len(ended) {
		f.Errorf("%d removed, files of %d, want %d", n, len(seen), len(ended))
	}
	_, err = f.Get(f.Context(), ended[0])
	f.wants(store.ErrNotFound, err)
	_, err = f.ReadLog(f.Context(), ended[0], 0, 10)
	f.wants(store.ErrNotFound, err)
	page, err := f.List(f.Context(), store.ListQuery{ServiceID: service, Tag: "t"})
	f.must(err)
	if len(page.Executions) != 0 {
		f.Errorf("%d removed executions are still listed", len(page.Executions))
	}
	// The key may be used again.
	again := newExecution(service)
	again.Idempotency = &store.Idempotency{Key: string(ended[0]), MACs: mac("another")}
	f.accept(again)

	n, err = f.Delete(f.Context(), open, recent)
	f.must(err)
	if n != 1 {
		f.Errorf("%d deleted of one that ended and one that runs", n)
	}
	f.wantStatus(open, execution.Running)
	f.wantLoad(service, 1, 1)
}

func checkReseal(f *fixture) {
	const many = 230
	rotated, err := vault.FromText([]byte("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="))
	f.must(err)
	for range many {
		a := newExecution(service)
		a.Secrets = f.seal(a.Execution.ID, "value")
		f.accept(a)
	}
	for _, want := range []int{many, 0} {
		n, err := f.Reseal(f.Context(), rotated.Rewrap)
		f.must(err)
		if n != want {
			f.Errorf("%d wrapped again, want %d", n, want)
		}
	}
	failure := errors.New("no such key")
	_, err = f.Reseal(f.Context(), func(vault.Owner, vault.Sealed) (vault.Sealed, bool, error) { return nil, false, failure })
	f.wants(failure, err)
	claimed, err := f.Claim(f.Context(), store.ClaimRequest{
		Owner: worker, Lease: lease, Max: many, Services: []store.ServiceLimit{{ServiceID: service}},
	})
	f.must(err)
	for _, c := range claimed {
		if _, err := rotated.Open(vault.ExecutionOwner(string(c.Execution.ID)), c.Secrets); err != nil || c.Secrets.KeyVersion() != 2 {
			f.Fatalf("version %d: %v", c.Secrets.KeyVersion(), err)
		}
	}
}
