// Package storetest is the suite that every implementation of [store.Store]
// passes. Each implementation runs it from one of its tests:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store { … })
//	}
//
// The suite advances a fake clock and never sleeps, so it checks nothing about
// files, processes or power: tests of the implementation do.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// Open gives a new, empty store that takes its time from now. It is closed by
// the test's cleanup.
type Open func(t *testing.T, now func() time.Time) store.Store

// Run checks an implementation.
func Run(t *testing.T, open Open) {
	for name, check := range map[string]func(*fixture){
		"Accept":                     checkAccept,
		"AcceptRefusesNonsense":      checkAcceptRefusesNonsense,
		"AcceptSameIDTwice":          checkAcceptSameIDTwice,
		"AcceptEndedContext":         checkAcceptEndedContext,
		"Idempotency":                checkIdempotency,
		"IdempotencyInParallel":      checkIdempotencyInParallel,
		"QueueLimits":                checkQueueLimits,
		"QueueLimitInParallel":       checkQueueLimitInParallel,
		"ClaimAtAcceptance":          checkClaimWhenAccepted,
		"ClaimOrder":                 checkClaimOrder,
		"ClaimConcurrency":           checkClaimConcurrency,
		"ClaimInParallel":            checkClaimInParallel,
		"ClaimBringsAllThatIsNeeded": checkClaimBringsAll,
		"LifeOfAnExecution":          checkLife,
		"FinishOnlyByTheOwner":       checkFinishOnlyByOwner,
		"FinishInParallel":           checkFinishInParallel,
		"FinishWithoutStart":         checkFinishWithoutStart,
		"SecretsEndWithExecution":    checkSecretsEnd,
		"Cancel":                     checkCancel,
		"Heartbeat":                  checkHeartbeat,
		"Release":                    checkRelease,
		"Recover":                    checkRecover,
		"RecoverSparesSelf":          checkRecoverSparesSelf,
		"RecoverMany":                checkRecoverMany,
		"ListPages":                  checkListPages,
		"ListByTag":                  checkListByTag,
		"ListByCaller":               checkListByCaller,
		"ListRefusesNonsense":        checkListRefusesNonsense,
		"Log":                        checkLog,
		"LongLog":                    checkLongLog,
		"LogInParallel":              checkLogInParallel,
		"Purge":                      checkPurge,
		"Reseal":                     checkReseal,
		"KeyUse":                     checkKeyUse,
		"WatchQueue":                 checkWatchQueue,
		"WatchExecution":             checkWatchExecution,
		"NotFound":                   checkNotFound,
		"Closed":                     checkClosed,
		"AnyOrderOfOperations":       checkModel,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(newFixture(t, open))
		})
	}
}

// The names that most checks use.
const (
	service = "service-a"
	other   = "service-b"
	worker  = "worker-1"
	rival   = "worker-2"
	lease   = time.Minute
)

// fixture is a store with a clock and helpers for frequent steps of checks. A
// helper ends the test when its operation fails.
type fixture struct {
	*testing.T
	store.Store
	clock *clock
	open  Open
	ring  *vault.Keyring
}

// clock is a time that passes only when a check says so.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newFixture(t *testing.T, open Open) *fixture {
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	ring, err := vault.FromText([]byte("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{T: t, Store: open(t, c.Now), clock: c, open: open, ring: ring}
}

// newExecution is a minimal one for a service.
func newExecution(serviceID string) store.NewExecution {
	return store.NewExecution{
		Execution: execution.Execution{ID: execution.NewID(), ServiceID: serviceID, Type: execution.Managed},
		Request:   []byte(`{"data":1}`),
	}
}

func (f *fixture) seal(id execution.ID, value string) vault.Sealed {
	f.Helper()
	sealed, err := f.ring.Seal(vault.ExecutionOwner(string(id)), vault.Secrets{"api_token": plaintext.FromString(value)})
	f.must(err)
	return sealed
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// wants checks that an operation failed in one way and no other.
func (f *fixture) wants(want, err error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got %v, want %v", err, want)
	}
}

func (f *fixture) accept(a store.NewExecution) store.Accepted {
	f.Helper()
	accepted, err := f.Accept(f.Context(), a)
	f.must(err)
	return accepted
}

// waiting accepts executions that wait, a second apart.
func (f *fixture) waiting(serviceID string, n int) []execution.ID {
	f.Helper()
	ids := make([]execution.ID, n)
	for i := range ids {
		ids[i] = f.accept(newExecution(serviceID)).Execution.ID
		f.clock.Advance(time.Second)
	}
	return ids
}

// claimAs claims for an owner and gives the ids in the order they came.
func (f *fixture) claimAs(owner string, most int, services ...store.ServiceLimit) []execution.ID {
	f.Helper()
	if len(services) == 0 {
		services = []store.ServiceLimit{{ServiceID: service}}
	}
	claimed, err := f.Claim(f.Context(), store.ClaimRequest{Owner: owner, Lease: lease, Max: most, Services: services})
	f.must(err)
	ids := make([]execution.ID, 0, len(claimed))
	for _, c := range claimed {
		if c.Execution.Status != execution.Pending {
			f.Errorf("a claimed execution is %s, want PENDING", c.Execution.Status)
		}
		ids = append(ids, c.Execution.ID)
	}
	return ids
}

// running accepts an execution and starts it as worker.
func (f *fixture) running() execution.ID {
	f.Helper()
	a := newExecution(service)
	a.Claim = &store.Lease{Owner: worker, Lease: lease}
	a.Secrets = f.seal(a.Execution.ID, "value")
	if !f.accept(a).Claimed {
		f.Fatal("not claimed although nothing waits")
	}
	f.start(a.Execution.ID)
	return a.Execution.ID
}

func (f *fixture) start(id execution.ID) {
	f.Helper()
	_, err := f.Start(f.Context(), id, worker)
	f.must(err)
}

func (f *fixture) finish(id execution.ID, status execution.Status) {
	f.Helper()
	_, err := f.Finish(f.Context(), store.FinishParams{ID: id, Owner: worker, Status: status})
	f.must(err)
}

func (f *fixture) get(id execution.ID) execution.Execution {
	f.Helper()
	e, err := f.Get(f.Context(), id)
	f.must(err)
	return e
}

func (f *fixture) wantStatus(id execution.ID, want execution.Status) {
	f.Helper()
	if got := f.get(id).Status; got != want {
		f.Errorf("the execution is %s, want %s", got, want)
	}
}

func (f *fixture) wantIDs(got, want []execution.ID) {
	f.Helper()
	if !slices.Equal(got, want) {
		f.Errorf("got executions %v, want %v", got, want)
	}
}

func (f *fixture) wantLoad(serviceID string, waiting, active int) {
	f.Helper()
	load, err := f.QueueStats(f.Context())
	f.must(err)
	if got := load.Services[serviceID]; got.Pending != waiting || got.Active != active {
		f.Errorf("%s: %+v, want %d waiting and %d active", serviceID, got, waiting, active)
	}
}

// sealedLeft counts the executions that still have sealed secrets.
func (f *fixture) sealedLeft() int {
	f.Helper()
	owners := map[vault.Owner]bool{} // a repeated transaction visits them again
	_, err := f.Reseal(f.Context(), func(owner vault.Owner, sealed vault.Sealed) (vault.Sealed, bool, error) {
		owners[owner] = true
		return sealed, false, nil
	})
	f.must(err)
	return len(owners)
}

// inParallel calls do n times at once and gives the errors.
func inParallel(n int, do func(i int) error) []error {
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { errs[i] = do(i) })
	}
	group.Wait()
	return errs
}

// count returns how many errors match target; nil counts successes.
func count(errs []error, target error) (n int) {
	for _, err := range errs {
		if errors.Is(err, target) {
			n++
		}
	}
	return n
}

func entry(i int) execution.LogEntry {
	return execution.LogEntry{
		Message: "line " + strconv.Itoa(i), Severity: execution.Info,
		Timestamp: time.Date(2026, 3, 1, 12, 0, 0, i*1000, time.UTC),
	}
}

func equalPayload(f *fixture, got, want []byte) {
	f.Helper()
	if !bytes.Equal(got, want) {
		f.Errorf("got %d bytes of the request, want %d", len(got), len(want))
	}
}

func mac(s string) [][]byte { return [][]byte{[]byte(fmt.Sprintf("%-32s", s))} }
