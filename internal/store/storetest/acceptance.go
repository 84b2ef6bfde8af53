package storetest

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

func checkAccept(f *fixture) {
	a := newExecution(service)
	a.Execution = execution.Execution{
		ID: a.Execution.ID, ServiceID: service, ServiceRevision: "r7", Type: execution.Workflow,
		Tags: []string{"b", "a", "ü\"\\"}, ServiceDefinitionID: "definition", ApplicationID: "application",
		TenantID: "tenant", PersonID: "person", ParentID: "3f0c5bb4-2a0f-4b5e-9f0e-6f6f6f6f6f6f",
		// The store sets these fields, and ignores those of the caller:
		Status: execution.Succeeded, CreatedAt: time.Unix(1, 0), EndedAt: time.Unix(2, 0), CancelRequested: true,
	}
	a.Request = bytes.Repeat([]byte{0, 0xff, '\n', 'x'}, 300_000)
	want := a.Execution
	want.Status, want.CreatedAt, want.EndedAt, want.CancelRequested = execution.Pending, f.clock.Now(), time.Time{}, false

	accepted := f.accept(a)
	if !reflect.DeepEqual(accepted.Execution, want) || accepted.Claimed || accepted.Replayed {
		f.Errorf("accepted %+v", accepted)
	}
	if got := f.get(a.Execution.ID); !reflect.DeepEqual(got, want) {
		f.Errorf("got %+v\nwant %+v", got, want)
	}
	payload, err := f.Request(f.Context(), a.Execution.ID)
	f.must(err)
	equalPayload(f, payload, a.Request)
	f.wantLoad(service, 1, 0)
	// A claim brings payloads only up to a size.
	fits := newExecution(service)
	fits.Request = bytes.Repeat([]byte("x"), store.MaxClaimed)
	f.accept(fits)
	claimed, err := f.Claim(f.Context(), store.ClaimRequest{
		Owner: worker, Lease: lease, Max: 2, Services: []store.ServiceLimit{{ServiceID: service}},
	})
	f.must(err)
	if len(claimed) != 2 || claimed[0].Request != nil || claimed[0].RequestSize != int64(len(a.Request)) ||
		len(claimed[1].Request) != store.MaxClaimed || claimed[1].RequestSize != store.MaxClaimed {
		f.Errorf("Claim(a payload above MaxClaimed and one of it) = %d executions with other payloads", len(claimed))
	}
}

func checkAcceptRefusesNonsense(f *fixture) {
	for name, spoil := range map[string]func(*store.NewExecution){
		"no id":               func(a *store.NewExecution) { a.Execution.ID = "" },
		"an id of another":    func(a *store.NewExecution) { a.Execution.ID = "../x" },
		"no service":          func(a *store.NewExecution) { a.Execution.ServiceID = "" },
		"no type":             func(a *store.NewExecution) { a.Execution.Type = "" },
		"secrets not sealed":  func(a *store.NewExecution) { a.Secrets = vault.Sealed("plain-value") },
		"key without MAC":     func(a *store.NewExecution) { a.Idempotency = &store.Idempotency{Key: "k"} },
		"claim without owner": func(a *store.NewExecution) { a.Claim = &store.Lease{Lease: lease} },
		"claim without lease": func(a *store.NewExecution) { a.Claim = &store.Lease{Owner: worker} },
	} {
		a := newExecution(service)
		spoil(&a)
		if _, err := f.Accept(f.Context(), a); !errors.Is(err, store.ErrInvalid) {
			f.Errorf("%s: %v", name, err)
		}
	}
	f.wantLoad(service, 0, 0)
}

func checkAcceptSameIDTwice(f *fixture) {
	a := newExecution(service)
	f.accept(a)
	a.Request = []byte("another")
	_, err := f.Accept(f.Context(), a)
	f.wants(store.ErrExists, err)
	payload, err := f.Request(f.Context(), a.Execution.ID)
	f.must(err)
	equalPayload(f, payload, []byte(`{"data":1}`))
	f.wantLoad(service, 1, 0)
}

func checkAcceptEndedContext(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	a := newExecution(service)
	// Claimed and not claimed are both right, if the store agrees.
	if _, err := f.Accept(ctx, a); err != nil {
		f.wants(context.Canceled, err)
		_, err = f.Get(f.Context(), a.Execution.ID)
		f.wants(store.ErrNotFound, err)
	} else {
		f.wantStatus(a.Execution.ID, execution.Pending)
	}
}

func checkIdempotency(f *fixture) {
	first := newExecution(service)
	first.Idempotency = &store.Idempotency{Key: "k", MACs: mac("body")}
	f.accept(first)

	repeated := newExecution(service)
	repeated.Idempotency = &store.Idempotency{Key: "k", MACs: mac("body")}
	again := f.accept(repeated)
	if !again.Replayed || again.Claimed || again.Execution.ID != first.Execution.ID {
		f.Errorf("repeated: %+v", again)
	}
	_, err := f.Get(f.Context(), repeated.Execution.ID)
	f.wants(store.ErrNotFound, err)

	changed := newExecution(service)
	changed.Idempotency = &store.Idempotency{Key: "k", MACs: mac("another body")}
	_, err = f.Accept(f.Context(), changed)
	f.wants(store.ErrIdempotencyMismatch, err)

	// After a rotation the stored MAC is the second of two.
	rotated := newExecution(service)
	rotated.Idempotency = &store.Idempotency{Key: "k", MACs: append(mac("body, new key"), mac("body")...)}
	if got := f.accept(rotated); !got.Replayed {
		f.Error("not recognised after a rotation of the key")
	}
	elsewhere := newExecution(other)
	elsewhere.Idempotency = &store.Idempotency{Key: "k", MACs: mac("another body")}
	if got := f.accept(elsewhere); got.Replayed {
		f.Error("a key is not the service's own")
	}
	// A replay shows the current state of the execution, and needs no room.
	_, err = f.Cancel(f.Context(), first.Execution.ID)
	f.must(err)
	f.waiting(service, 1)
	repeated.Queue.PerService = 1
	if got := f.accept(repeated); got.Execution.Status != execution.Cancelled {
		f.Errorf("replayed as %s", got.Execution.Status)
	}
}

func checkIdempotencyInParallel(f *fixture) {
	const callers = 20
	accepted := make([]store.Accepted, callers)
	errs := inParallel(callers, func(i int) (err error) {
		a := newExecution(service)
		a.Idempotency = &store.Idempotency{Key: "k", MACs: mac("body")}
		accepted[i], err = f.Accept(f.Context(), a)
		return err
	})
	f.must(errors.Join(errs...))
	fresh := 0
	for _, a := range accepted {
		if !a.Replayed {
			fresh++
		}
		if a.Execution.ID != accepted[0].Execution.ID {
			f.Error("one key gave two executions")
		}
	}
	if fresh != 1 {
		f.Errorf("%d of the repeated requests were taken for the first", fresh)
	}
	f.wantLoad(service, 1, 0)
}

func checkQueueLimits(f *fixture) {
	limit := store.QueueLimit{PerService: 2, Total: 3}
	offer := func(serviceID string) error {
		a := newExecution(serviceID)
		a.Queue = limit
		_, err := f.Accept(f.Context(), a)
		return err
	}
	f.must(offer(service))
	f.must(offer(service))
	err := offer(service)
	f.wants(store.ErrQueueFull, err)
	var full *store.QueueFullError
	if !errors.As(err, &full) || full.ServiceID != service || full.Limit != 2 {
		f.Errorf("the bound of the service: %#v", full)
	}
	f.must(offer(other))
	err = offer(other)
	if !errors.As(err, &full) || full.ServiceID != "" || full.Limit != 3 {
		f.Errorf("the bound of all: %v", err)
	}
	// A claimed execution waits no longer.
	f.claimAs(worker, 1)
	f.must(offer(service))
	f.wantLoad(service, 2, 1)
}

func checkQueueLimitInParallel(f *fixture) {
	const callers, capacity = 30, 7
	errs := inParallel(callers, func(int) error {
		a := newExecution(service)
		a.Queue.PerService = capacity
		_, err := f.Accept(f.Context(), a)
		return err
	})
	if n := count(errs, nil); n != capacity {
		f.Errorf("%d accepted where there was room for %d", n, capacity)
	}
	if n := count(errs, store.ErrQueueFull); n != callers-capacity {
		f.Errorf("%d refused: %v", n, errors.Join(errs...))
	}
	f.wantLoad(service, capacity, 0)
}

func checkClaimWhenAccepted(f *fixture) {
	offer := func(concurrency int) store.Accepted {
		a := newExecution(service)
		a.Claim = &store.Lease{Owner: worker, Lease: lease, Concurrency: concurrency}
		return f.accept(a)
	}
	first := offer(1)
	if !first.Claimed || first.Execution.Status != execution.Pending {
		f.Fatalf("a free slot was not taken: %+v", first)
	}
	second := offer(1)
	if second.Claimed {
		f.Fatal("claimed beyond the concurrency of the service")
	}
	// A slot would be free, but older executions wait.
	if offer(3).Claimed {
		f.Error("a new execution overtook one that waits")
	}
	f.wantLoad(service, 2, 1)
	f.start(first.Execution.ID)
	f.wants(store.ErrLeaseLost, func() error {
		_, err := f.Start(f.Context(), second.Execution.ID, worker)
		return err
	}())
}
