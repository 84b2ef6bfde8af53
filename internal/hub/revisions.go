package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/qhubctl/qhubctl/internal/builder"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Revisions give the engine the revisions of the registry. The zero value has none
// until a hub uses it: an engine is opened before its hub.
type Revisions struct {
	mu  sync.Mutex // held while a revision is activated
	hub *Hub
}

var _ engine.Registry = (*Revisions)(nil)

func (r *Revisions) use(h *Hub) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hub = h
}

var errStarting = errors.New("the server is starting")

// Revision implements [engine.Registry].
func (r *Revisions) Revision(ctx context.Context, serviceID, revisionID string) (*engine.Revision, error) {
	r.mu.Lock()
	h := r.hub
	r.mu.Unlock()
	if h == nil {
		return nil, errStarting
	}
	found, err := h.store.Revision(ctx, revisionID)
	if errors.Is(err, registry.ErrNotFound) || err == nil && (found.Version != serviceID || found.Manifest == nil) {
		return nil, fmt.Errorf("%w: revision %s of version %s", store.ErrNotFound, revisionID, serviceID)
	}
	if err != nil {
		return nil, err
	}
	return h.engineRevision(ctx, found)
}

// engineRevision is a revision as the engine runs it. Its runner is made when an
// execution needs it.
func (h *Hub) engineRevision(ctx context.Context, r registry.Revision) (*engine.Revision, error) {
	v, err := h.store.Version(ctx, r.Version)
	if err != nil {
		return nil, err
	}
	s, err := h.store.Service(ctx, v.Service)
	if err != nil {
		return nil, err
	}
	described, err := signature.Parse(r.Manifest.Signature)
	if err != nil {
		return nil, fmt.Errorf("read the signature of revision %s: %w", r.ID, err)
	}
	var pools engine.PoolMounter
	if h.pools != nil {
		pools = &mounter{h.pools}
	}
	inEnvironment := &environment{h, s.Tenant, v.ID}
	var stored engine.StoredSecrets
	if h.secrets != nil {
		stored = &storedSecrets{h, s.ID, v.ID, described}
	}
	return &engine.Revision{
		ID: r.ID, Name: cmp.Or(s.DisplayName, s.Name), Version: v.Version, Description: cmp.Or(s.Description, r.Manifest.Description),
		Signature: described, Root: h.builder.Root(r.ID), Limits: h.builder.LimitsOf(r.Manifest.Limits),
		// An execution acts for the tenant that owns its service.
		Resolvers: engine.Resolvers{Pools: pools, Stored: stored, Secrets: inEnvironment, Environment: inEnvironment.all, Record: recordUse(s.Tenant, s.ID), Token: func(_ context.Context, e execution.Execution) (plaintext.Bytes, error) {
			return h.Access.ExecutionToken(e.ID.String(), s.Tenant, e.ApplicationID)
		}},
		Load: func(ctx context.Context, _ *engine.Revision) (runner.Runner, error) {
			return h.builder.Load(ctx, r, builder.RunnerOptions{
				Scratch: h.Server.Engine().Scratch(), Pool: h.Server.Zygotes(), Counted: h.Server.Counted,
			})
		},
	}, nil
}

// ensure has the engine hold the active revision of a version.
func (r *Revisions) ensure(ctx context.Context, version string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hub
	v, err := h.store.Version(ctx, version)
	if err != nil {
		return err
	}
	service := h.Server.Engine().Service(version)
	current, held := service.Current()
	switch {
	case v.Active == "":
		return fmt.Errorf("%w: version %s of the service has no revision yet", registry.ErrNotFound, v.Version)
	case held && current.ID == v.Active:
		return nil
	}
	active, err := h.store.Revision(ctx, v.Active)
	if err != nil {
		return err
	}
	next, err := h.engineRevision(ctx, active)
	if err != nil {
		return err
	}
	return service.Activate(next)
}

// drop takes a version that was deleted out of the engine. Nothing activates it again:
// ensure has either ended, or finds no such version.
func (r *Revisions) drop(version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hub.Server.Engine().Service(version).Deactivate()
}
