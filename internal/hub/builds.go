package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/builder"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/store"
)

// builds runs the builds that wait: the accounts take turns, and the builds of each run in
// their order.
type builds struct {
	hub    *Hub
	ctx    context.Context //nolint:containedctx // of all builds
	stop   context.CancelFunc
	wake   chan struct{}
	ending sync.WaitGroup

	mu      sync.Mutex
	waiting []waitingBuild
	// turns has when each account began its last build; an account that never did is first.
	turns map[string]int
	turn  int
	// changed is closed, and replaced, when a build has said something.
	changed chan struct{}
}

// A waitingBuild is a revision to build, of an account.
type waitingBuild struct{ revision, tenant string }

// maxWaitingBuilds bounds the builds of an account that wait.
const maxWaitingBuilds = 100

// errManyBuilds refuses a build.
var errManyBuilds = problem(http.StatusTooManyRequests, fmt.Sprintf("%d builds of this account wait already. Try again later.", maxWaitingBuilds))

// room returns an error if an account has too many builds that wait.
func (b *builds) room(tenant string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, w := range b.waiting {
		if w.tenant == tenant {
			n++
		}
	}
	if n >= maxWaitingBuilds {
		return errManyBuilds
	}
	return nil
}

func newBuilds(h *Hub, workers int) *builds {
	b := &builds{hub: h, wake: make(chan struct{}, workers), changed: make(chan struct{}), turns: map[string]int{}}
	b.ctx, b.stop = context.WithCancel(context.Background())
	for range workers {
		b.ending.Go(b.loop)
	}
	return b
}

func (b *builds) close() {
	b.stop()
	b.ending.Wait()
}

func (b *builds) add(revision, tenant string) {
	b.mu.Lock()
	if w := (waitingBuild{revision, tenant}); !slices.Contains(b.waiting, w) {
		b.waiting = append(b.waiting, w)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *builds) next() (revision string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		clear(b.turns)
		return "", false
	}
	at := 0
	for i, w := range b.waiting {
		if b.turns[w.tenant] < b.turns[b.waiting[at].tenant] {
			at = i
		}
	}
	chosen := b.waiting[at]
	b.waiting = slices.Delete(b.waiting, at, at+1)
	b.turn++
	b.turns[chosen.tenant] = b.turn
	return chosen.revision, true
}

func (b *builds) loop() {
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.wake:
		}
		for revision, ok := b.next(); ok && b.ctx.Err() == nil; revision, ok = b.next() {
			b.run(revision)
		}
	}
}

// changes is closed when a build says something, or ends.
func (b *builds) changes() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *builds) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}

// run builds a revision. After an end of the server it stays WORKING, and begins
// again at the next start.
func (b *builds) run(id string) {
	h := b.hub
	r, err := h.store.Revision(b.ctx, id)
	if err != nil || r.State != registry.Working {
		return // it was deleted
	}
	report := &buildReport{builds: b, revision: id}
	manifest, err := h.builder.Build(b.ctx, r, report)
	if b.ctx.Err() != nil {
		return
	}
	outcome := registry.Outcome{Summary: "The service was built."}
	if err != nil {
		outcome = failed(err)
		if _, known := errors.AsType[*builder.FailedError](err); !known {
			h.Log.Error("a build has failed", "revision", id, "error", err)
		}
		report.Say("ERROR", outcome.Summary)
		for _, message := range outcome.Messages {
			report.Say("ERROR", message)
		}
	}
	report.flush()
	done, err := h.store.FinishBuild(b.ctx, id, outcome, manifest)
	defer b.notify()
	if errors.Is(err, registry.ErrNotFound) { // it was deleted meanwhile
		err = h.builder.Remove(id)
	}
	if err != nil {
		h.Log.Error("cannot end a build; it begins again at the next start", "revision", id, "error", err)
		return
	}
	if done.State == registry.Succeeded {
		h.activated(b.ctx, done.Version)
	}
}

// failed is what the owner of a service reads about a build. A cause in the server
// stands in the log of the server only.
func failed(err error) registry.Outcome {
	if failure, ok := errors.AsType[*builder.FailedError](err); ok {
		return registry.Outcome{Summary: failure.Summary, Messages: failure.Messages}
	}
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return registry.Outcome{Summary: "The archive is no longer there.", Messages: []string{"Upload it again."}}
	case errors.Is(err, store.ErrFull), errors.Is(err, blob.ErrFull):
		return registry.Outcome{Summary: "The server has no room for the build."}
	}
	return registry.Outcome{Summary: "Something went wrong in the server.", Messages: []string{"The operator finds the reason in its log."}}
}

// buildReport writes the log of a build, some lines at a time.
type buildReport struct {
	builds   *builds
	revision string
	// step is the one that was noted last.
	step registry.Step

	mu      sync.Mutex
	pending []registry.LogLine
	written time.Time
}

// Step implements [builder.Reporter].
func (r *buildReport) Step(s registry.Step) {
	r.flush()
	if s != r.step {
		r.step = s
		r.failed(r.builds.hub.store.SetStep(r.builds.ctx, r.revision, s))
	}
}

const (
	// buildLogInterval is how long lines of a build wait for others.
	buildLogInterval = 100 * time.Millisecond
	buildLogBatch    = 200
)

// Say implements [builder.Reporter].
func (r *buildReport) Say(severity, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = append(r.pending, registry.LogLine{Severity: severity, Time: time.Now(), Message: line})
	if len(r.pending) >= buildLogBatch || time.Since(r.written) > buildLogInterval {
		r.write()
	}
}

func (r *buildReport) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write()
}

// write writes what waits. The caller holds the lock.
func (r *buildReport) write() {
	if len(r.pending) > 0 {
		r.failed(r.builds.hub.store.AppendBuildLog(r.builds.ctx, r.revision, r.pending))
		r.builds.notify()
	}
	r.pending, r.written = nil, time.Now()
}

func (r *buildReport) failed(err error) {
	if err != nil && r.builds.ctx.Err() == nil && !errors.Is(err, registry.ErrNotFound) {
		r.builds.hub.Log.Warn("cannot write the log of a build", "revision", r.revision, "error", err)
	}
}

// begin starts a build of what a version has now.
func (h *Hub) begin(ctx context.Context, version, by string) (registry.Revision, error) {
	r, begun, err := h.store.BeginBuild(ctx, version, uuid.NewString(), by)
	if err == nil && begun {
		h.builds.add(r.ID, access.From(ctx).Tenant)
	}
	return r, err
}

// activated has the engine and the gateway follow a change of the active revision.
func (h *Hub) activated(ctx context.Context, version string) {
	h.gateway.changed()
	if _, held := h.Server.Engine().Service(version).Current(); !held {
		return // it is loaded with the first request
	}
	if err := h.Revisions.ensure(ctx, version); err != nil && !errors.Is(err, registry.ErrNotFound) {
		h.Log.Error("cannot activate a revision", "version", version, "error", err)
	}
}

// orphanAge is how old an archive must be that no version has.
const orphanAge = time.Hour

// collectLoop removes what deleted services have left, now and then.
func (h *Hub) collectLoop() {
	ticker := time.NewTicker(orphanAge)
	defer ticker.Stop()
	for {
		select {
		case <-h.draining.Done():
			return
		case <-ticker.C:
		}
		if err := h.collect(h.draining); err != nil && h.draining.Err() == nil {
			h.Log.Warn("cannot remove what deleted services have left", "error", err)
		}
	}
}

// keptRevisions is how many of the newest revisions of a version keep their folder. An
// older one is prepared again when an execution needs it.
const keptRevisions = 3

// collect removes the folders and archives of deleted services, and the folders of
// revisions that are neither new nor active nor in use.
func (h *Hub) collect(ctx context.Context) error {
	folders, err := h.builder.Folders()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range folders {
		needed, err := h.needsFolder(ctx, id)
		if err == nil && !needed {
			_, err = h.builder.RemoveIdle(id)
		}
		errs = append(errs, err)
	}
	_, err = blob.Sweep(ctx, h.blobs, "sources/", time.Now().Add(-orphanAge), func(ctx context.Context, i blob.Info) (bool, error) {
		return h.store.SourceInUse(ctx, i.Key)
	})
	if err = errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("remove unused folders and archives: %w", err)
	}
	return nil
}

// needsFolder reports whether the folder of a revision must stay.
func (h *Hub) needsFolder(ctx context.Context, id string) (bool, error) {
	r, err := h.store.Revision(ctx, id)
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	if err != nil || r.State == registry.Working {
		return true, err
	}
	v, err := h.store.Version(ctx, r.Version)
	if err != nil || v.Active == id {
		return true, err
	}
	newest, err := h.store.Revisions(ctx, r.Version, registry.Page{Limit: keptRevisions})
	return slices.ContainsFunc(newest, func(n registry.Revision) bool { return n.ID == id }), err
}
