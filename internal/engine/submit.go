package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// idempotencyPurpose separates the MACs of bodies from other uses of the key.
const idempotencyPurpose = "idempotency"

// A Submission is a request for an execution.
type Submission struct {
	// Body is the JSON object of the request. Submit wipes it.
	Body []byte
	// IdempotencyKey recognises the request when it is repeated. Empty: none.
	IdempotencyKey string
	// Caller is noted with the execution.
	Caller store.Caller
	// Kept is a document that stays with the execution. It holds no secret.
	Kept []byte
}

// Submit accepts a request and returns once it is durable. The execution is then
// PENDING, and starts as soon as a slot is free.
//
// It returns [signature.Errors] with all that is wrong with the body, or an error
// that matches [store.ErrQueueFull], [store.ErrIdempotencyMismatch],
// [store.ErrFull] or [ErrClosed]. If the service has no revision, the error matches
// [store.ErrNotFound].
func (s *Service) Submit(ctx context.Context, given Submission) (store.Accepted, error) {
	e := s.engine
	accepted, err := e.submit(ctx, s.id, given)
	switch {
	case err != nil:
		e.config.Observer.Refused(err)
	case !accepted.Replayed:
		e.config.Observer.Accepted()
	}
	return accepted, err
}

func (e *Engine) submit(ctx context.Context, serviceID string, s Submission) (store.Accepted, error) {
	defer clear(s.Body)
	r, err := e.enter(serviceID)
	if err != nil {
		return store.Accepted{}, err
	}
	defer e.requests.Done()
	release, err := e.reserve(ctx, s.Body)
	if err != nil {
		return store.Accepted{}, err
	}
	defer release()
	for tries := 1; ; tries++ {
		accepted, err := e.submitTo(ctx, r, s)
		// A version of a secret was replaced and destroyed meanwhile: the next one counts.
		if !errors.Is(err, store.ErrPinGone) || tries == maxPinTries {
			return accepted, err
		}
	}
}

// maxPinTries is how often a request is checked again because a stored secret was
// destroyed before the execution pinned it.
const maxPinTries = 25

// submitTo submits a request to a revision.
func (e *Engine) submitTo(ctx context.Context, r *revision, s Submission) (store.Accepted, error) {
	request, err := r.accept(ctx, s.Body)
	if err != nil {
		return store.Accepted{}, err
	}
	defer request.Clear()
	a, err := e.newExecution(r, s, request)
	if err != nil {
		return store.Accepted{}, err
	}
	claiming := e.tryTakeSlot()
	var begun *early
	if claiming {
		if r.Concurrency == 0 { // else it may have to wait for another execution
			begun = e.openEarly(r, a.Execution, request.pins)
		}
		a.Claim = &store.Lease{Owner: e.owner, Lease: e.config.Lease, Concurrency: r.Concurrency}
	}
	// Added before the store knows it, as it may start at once.
	e.queued.add(a.Execution)
	accepted, err := e.store.Accept(ctx, a)
	if accepted.Claimed {
		claimed := store.Claimed{Execution: accepted.Execution, Request: a.Request, RequestSize: int64(len(a.Request)), Secrets: a.Secrets}
		if len(a.Request) > store.MaxClaimed {
			claimed.Request = nil // the task reads it when there is memory for it
		}
		e.start(claimed, begun)
	} else if claiming {
		begun.discard()
		e.returnSlots(1)
	}
	return accepted, err
}

// enter registers a request, which Close waits for, and returns the current
// revision of the service.
func (e *Engine) enter(serviceID string) (*revision, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return nil, ErrClosed
	}
	h, ok := e.services[serviceID]
	if !ok {
		return nil, fmt.Errorf("%w: no service %q", store.ErrNotFound, serviceID)
	}
	e.requests.Add(1)
	return h.current, nil
}

// newExecution builds the record of a request for the store, with its secrets
// sealed.
func (e *Engine) newExecution(r *revision, s Submission, request *acceptedRequest) (store.NewExecution, error) {
	a := store.NewExecution{
		Execution: execution.Execution{
			ID: execution.NewID(), ServiceID: r.service, ServiceRevision: r.ID, Type: execution.Managed, Tags: request.Tags,
			TenantID: s.Caller.Tenant, ApplicationID: s.Caller.Application, ParentID: s.Caller.Execution, PersonID: s.Caller.Person,
		},
		Queue: e.config.Queue, Kept: s.Kept, Pins: request.versions(),
	}
	var err error
	if a.Request, err = storeRequest(request); err != nil {
		return a, fmt.Errorf("accept an execution: %w", err)
	}
	if a.Secrets, err = e.config.Keyring.Seal(vault.ExecutionOwner(string(a.Execution.ID)), vault.Secrets(request.Secrets)); err != nil {
		return a, fmt.Errorf("seal the secrets of an execution: %w", err)
	}
	if s.IdempotencyKey != "" {
		macs, err := e.config.Keyring.MACs(idempotencyPurpose, s.Body)
		if err != nil {
			return a, fmt.Errorf("accept an execution: %w", err)
		}
		a.Idempotency = &store.Idempotency{Key: s.IdempotencyKey, MACs: macs}
	}
	return a, nil
}

// A storedRequest is the form of a request in the store. It leaves out the values
// of secrets, which are sealed, and the grants of data pools, in whose place stand
// their permissions.
type storedRequest struct {
	Inputs    map[string]json.RawMessage `json:"inputs,omitempty"`
	DataPools map[string]storedPool      `json:"dataPools,omitempty"`
	// Secrets holds the names of the secrets that came with the request.
	Secrets []string `json:"secrets,omitempty"`
	// Pins are the versions of stored secrets by parameter.
	Pins map[string]int64 `json:"pins,omitempty"`
}

// A storedPool is a data pool of a request, without its grant.
type storedPool struct {
	signature.DataPoolReference
	Permission string `json:"permission,omitempty"`
}

func storeRequest(request *acceptedRequest) ([]byte, error) {
	stored := storedRequest{
		Inputs: request.Inputs, DataPools: make(map[string]storedPool, len(request.DataPools)),
		Secrets: slices.Sorted(maps.Keys(request.Secrets)), Pins: request.pins,
	}
	for name, reference := range request.DataPools {
		reference.Grant = ""
		stored.DataPools[name] = storedPool{reference, request.permissions[name]}
	}
	size := 0
	for name, value := range stored.Inputs {
		size += len(name) + len(value)
	}
	if size > store.MaxClaimed {
		return stored.marshalLarge(size)
	}
	return json.Marshal(stored)
}

// marshalLarge does what json.Marshal does without copying the inputs, which the
// signature has already validated.
func (s storedRequest) marshalLarge(size int) ([]byte, error) {
	inputs := s.Inputs
	rest, err := json.Marshal(storedRequest{DataPools: s.DataPools, Secrets: s.Secrets, Pins: s.Pins})
	if err != nil {
		return nil, err
	}
	text := make([]byte, 0, size+len(rest)+16*(len(inputs)+1))
	text = append(text, `{"inputs":{`...)
	for i, name := range slices.Sorted(maps.Keys(inputs)) {
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(text, quoted...), ':')
		text = append(text, inputs[name]...)
	}
	text = append(text, '}')
	if len(rest) > len(`{}`) {
		text = append(text, ',')
	}
	return append(text, rest[1:]...), nil
}

// body builds a request with the same inputs, pools and names of secrets, so that
// another revision can validate it.
func (s storedRequest) body() ([]byte, error) {
	members := map[string]any{}
	for name, value := range s.Inputs {
		members[name] = value
	}
	for name, pool := range s.DataPools {
		members[name] = pool.DataPoolReference
	}
	if len(s.Secrets) > 0 {
		secrets := map[string]string{}
		for _, name := range s.Secrets {
			secrets[name] = ""
		}
		members[signature.SecretsKey] = secrets
	}
	return json.Marshal(members)
}
