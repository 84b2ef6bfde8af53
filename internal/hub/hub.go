// Package hub is the platform: one process with the services of many tenants, the
// gateway by which applications call them, and the API by which their owners deploy
// them.
//
//	/gateway/{tenant}/{service}/{version}   the Service API of one version
//	/gateway/{tenant}/{service}/latest      that of the highest version
//	/qc-catalog/…                           the platform API
//	/healthz, /readyz                       probes
//
// Identity is package access; a [Hub] asks it who a caller is, and mounts its
// handlers.
package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/backup"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/blob/filestore"
	"github.com/qhubctl/qhubctl/internal/builder"
	"github.com/qhubctl/qhubctl/internal/console"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Access is what a hub needs of package access.
type Access interface {
	access.Authenticator
	// Authorize narrows the rights of a caller to those on one service.
	Authorize(ctx context.Context, p access.Principal, service access.ServiceRef) (access.Principal, error)
	// SubscriptionsOf are all subscriptions of a service, and UnsubscribeAll ends
	// them.
	SubscriptionsOf(ctx context.Context, service string) ([]access.Subscription, error)
	UnsubscribeAll(ctx context.Context, service string) error
	// ExecutionToken makes the token of an execution, which ends with it.
	ExecutionToken(id, tenant, application string) (plaintext.Bytes, error)
	// ProviderTokens are the tokens of a tenant for providers of quantum computers, by
	// the variables in which programs look for them.
	ProviderTokens(ctx context.Context, tenant string) (map[string]plaintext.Bytes, error)
	// Tenant reads a user or an organization.
	Tenant(ctx context.Context, id string) (access.Tenant, error)
	// ExecutionOf returns the id of the running execution that a token belongs to.
	ExecutionOf(ctx context.Context, token string) (string, error)
}

// Store is the state of a hub, beside that of the engine.
type Store interface {
	registry.Store
	// EnvironmentSecrets are the secrets in the environment of a version of a service.
	EnvironmentSecrets(ctx context.Context, version string) ([]secretstore.SealedVersion, error)
	// MoveFormerSecrets keeps sets of secrets of former programs as stored secrets.
	MoveFormerSecrets(ctx context.Context, split func(secretstore.FormerSet) ([]secretstore.NewVersion, error)) (int, error)
	Get(ctx context.Context, id execution.ID) (execution.Execution, error)
	ListOfCaller(ctx context.Context, q store.CallerQuery) ([]execution.Execution, int, error)
	// Kept is what a job has kept of its request. [store.ErrNotFound]: nothing.
	Kept(ctx context.Context, id execution.ID) ([]byte, error)
	// CountSince counts the executions of services that were made since each of some
	// times.
	CountSince(ctx context.Context, services []string, since ...time.Time) ([]int, error)
	// Descendants are an execution of a tenant, and those of the tenant that were started
	// in it, or in these.
	Descendants(ctx context.Context, tenant string, id execution.ID, limit int) ([]execution.Execution, error)
}

// Options say what a hub is made of. All are needed but Limits.
type Options struct {
	// Server is open. Its registry is Revisions.
	Server    *server.Server
	Revisions *Revisions
	Access    Access
	// API gets the routes of the hub.
	API *platformapi.API
	// DataPools opens the data pools, over the contents of the hub. Nil: there are none.
	DataPools func(blobs blob.Store) (*datapool.Service, error)
	// Secrets opens the stored secrets of services. Nil: there are none.
	Secrets func(services secretstore.Services) *secretstore.Service
	// Dir is the data folder.
	Dir string
	// Prepare is the command line of [builder.Prepare] in a process.
	Prepare []string
	// Hidden are further files that no build and no execution may see.
	Hidden []string
	// Version is that of the program.
	Version string
	// Owner is the person that owns the platform, and sees its state.
	Owner string
	// URL is where clients find the platform; empty: where they have called it.
	URL string
	// Builds is how many builds run at once. Zero: one.
	Builds int
	// Limits bound builds.
	Limits builder.Limits
	Log    *slog.Logger
}

// A Hub is a platform. Make one with [New].
type Hub struct {
	Options
	store   Store
	blobs   blob.Store
	pools   *datapool.Service    // nil: there are none
	secrets *secretstore.Service // the same
	builder *builder.Builder
	builds  *builds

	gateway   gateway
	variables variables
	repeats   *repeats
	denials   sync.Map // limiters of denials in the audit log, by account
	ready     atomic.Bool
	// placing is held while a version gets an archive and the build of it begins: else
	// the answer to an upload could name the build of another one.
	placing sync.Mutex
	// draining ends when the server is about to.
	draining context.Context //nolint:containedctx // the server's life
	drain    context.CancelFunc
	tasks    sync.WaitGroup
	started  time.Time
}

// The folders of a hub in its data folder.
const (
	blobsDir     = "blobs"
	revisionsDir = "revisions"
)

// Layout is what of a data folder is backed up. The folders of revisions are not: the
// first execution of a revision that has none makes it again from its archive.
func Layout() backup.Layout {
	return backup.Layout{
		Database: server.DatabaseName, Copy: server.CopyDatabase, Verify: server.VerifyDatabase,
		Trees: []string{blobsDir + "/" + filestore.ObjectsDir, engine.ResultsDir},
	}
}

// New makes a hub. Builds that were interrupted begin again, and services with
// executions that wait are loaded.
func New(ctx context.Context, o Options) (*Hub, error) {
	h := &Hub{Options: o, store: o.Server.Store(), repeats: newRepeats(), started: time.Now()}
	h.draining, h.drain = context.WithCancel(context.WithoutCancel(ctx))
	blobs, err := filestore.Open(filepath.Join(o.Dir, blobsDir))
	if err != nil {
		return nil, err
	}
	h.blobs = blobs
	h.builder, err = builder.New(builder.Options{
		Dir: filepath.Join(o.Dir, revisionsDir), Blobs: blobs, Machine: o.Server.Machine(), Program: o.Prepare,
		Hidden: append([]string{o.Dir}, o.Hidden...), Limits: o.Limits, Log: o.Log,
	})
	if err != nil {
		return nil, err
	}
	if o.DataPools != nil {
		if h.pools, err = o.DataPools(blobs); err != nil {
			return nil, err
		}
	}
	if o.Secrets != nil {
		h.secrets = o.Secrets(&secretServices{h})
	}
	h.moveSecrets(ctx)
	h.gateway.init(h)
	o.Revisions.use(h)
	h.builds = newBuilds(h, max(o.Builds, 1))
	if err := h.resume(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	h.tasks.Go(h.collectLoop)
	h.register(o.API)
	h.ready.Store(true)
	return h, nil
}

// resume goes on where a former process has stopped.
func (h *Hub) resume(ctx context.Context) error {
	if err := h.collect(ctx); err != nil {
		h.Log.Warn("cannot remove what deleted services have left", "error", err)
	}
	unfinished, err := h.store.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, r := range unfinished {
		h.builds.add(r.ID, h.accountOf(ctx, r.Version))
	}
	waiting, err := h.Server.Engine().QueueStats(ctx)
	if err != nil {
		return fmt.Errorf("find services with executions that wait: %w", err)
	}
	for version := range waiting.Services {
		if _, err := h.store.Version(ctx, version); errors.Is(err, registry.ErrNotFound) { // stopped while it was deleted
			if err := cancelAll(ctx, h.Server.Engine().Service(version)); err != nil {
				return err
			}
			continue
		}
		if err := h.Revisions.ensure(ctx, version); err != nil && !errors.Is(err, registry.ErrNotFound) {
			h.Log.Error("cannot load a service whose executions wait", "version", version, "error", err)
		}
	}
	return nil
}

// accountOf is the account of a version; empty if it was deleted.
func (h *Hub) accountOf(ctx context.Context, version string) string {
	v, err := h.store.Version(ctx, version)
	if err != nil {
		return ""
	}
	s, err := h.store.Service(ctx, v.Service)
	if err != nil {
		return ""
	}
	return s.Tenant
}

// Serve answers until ctx ends: browsers with the console, all others with the platform.
func (h *Hub) Serve(ctx context.Context) error {
	pages := console.New(console.Options{Platform: h, Keyring: h.Server.Keyring(), Health: h.health, Owner: h.Owner, Version: h.Version, Log: h.Log})
	return h.Server.ServeHandler(ctx, pages, func() {
		h.ready.Store(false)
		h.drain()
		h.gateway.drain()
	})
}

// Close ends builds that run; they begin again at the next start.
func (h *Hub) Close() error {
	h.drain()
	if h.builds != nil {
		h.builds.close()
	}
	h.tasks.Wait()
	var errs []error
	if h.secrets != nil {
		errs = append(errs, h.secrets.Close())
	}
	if h.pools != nil {
		errs = append(errs, h.pools.Close())
	}
	return errors.Join(errs...)
}
