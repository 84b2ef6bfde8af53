package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/accessapi"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/auditapi"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/builder"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/datapoolapi"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretsapi"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/server"
)

// RunOptions say how a platform runs.
type RunOptions struct {
	// Server listens. Its policy and registry are set here.
	Server server.Options
	// Dir is the data folder. It is made if need be.
	Dir string
	// Prepare is the command line of [builder.Prepare] in a process.
	Prepare []string
	// Hidden are files of keys and tokens outside the data folder.
	Hidden []string
	// URL is where clients find the platform; empty: where they have called it.
	URL string
	// BehindProxy takes the address of a client from X-Forwarded-For.
	BehindProxy bool
	// RevealAccessKeys lets owners read the secrets of access keys at any time.
	RevealAccessKeys bool
	// MaxPoolFile bounds a file of a data pool in bytes. Zero: [datapool.DefaultMaxFile].
	MaxPoolFile int64
	// AuditRetention is how long entries of the audit log are kept. Zero: for good.
	AuditRetention time.Duration
	Builds         int
	Limits         builder.Limits
	// References resolves references to secrets in other stores. Nil: there are none.
	References secretstore.References
	// Hooks fetches new values of stored secrets. Nil: there are none.
	Hooks secretstore.Hooks
	// Version is that of the program.
	Version string
	// Started is called once the platform answers.
	Started func(Started) error
}

// Started describes a platform that can be called.
type Started struct {
	URL, MetricsURL string
	// OwnerToken is the file with the token of the owner.
	OwnerToken string
	// First says that this start has made it.
	First bool
}

// OwnerTokenName is the file of the owner's token in the data folder.
const OwnerTokenName = "owner-token"

// ownerName is the user that owns a platform.
const ownerName = "owner"

// Run runs a platform until ctx ends.
func Run(ctx context.Context, o RunOptions) (err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	revisions := &Revisions{}
	o.Server.Policy, o.Server.Registry = engine.Pinned, revisions
	s, err := server.Listen(ctx, o.Server)
	if err != nil {
		return err
	}
	defer func() {
		if closed := s.Close(); err == nil {
			err = closed
		}
	}()
	if err := s.UseDir(o.Dir); err != nil {
		return err
	}
	if err := s.Open(ctx); err != nil {
		return err
	}
	return serve(ctx, o, s, revisions)
}

// serve runs the platform of an open server.
func serve(ctx context.Context, o RunOptions, s *server.Server, revisions *Revisions) (err error) {
	if err := s.OpenAudit(ctx, server.AuditOptions{Retention: o.AuditRetention}); err != nil {
		return err
	}
	identity, err := access.Open(ctx, access.Options{
		Store: s.Store().Access(), Keyring: s.Keyring(), Executions: &running{s.Engine()},
		RevealAccessKeys: o.RevealAccessKeys, Address: o.address(), Audit: s.Store().Audit(), Operator: ownerName, Log: o.Server.Log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, identity.Close()) }()
	first, err := keepOwnerToken(ctx, identity, filepath.Join(o.Dir, OwnerTokenName))
	if err != nil {
		return err
	}
	owner, err := recordUnlock(ctx, o, s)
	if err != nil {
		return err
	}
	api := platformapi.New(platformapi.Options{Auth: identity, Explain: explain, Audit: s.Store().Audit(), Version: o.Version, Log: o.Server.Log})
	h, err := New(ctx, Options{
		Server: s, Revisions: revisions, Access: identity, Dir: o.Dir, Version: o.Version, Owner: owner, Prepare: o.Prepare, Hidden: o.Hidden, URL: strings.TrimSuffix(o.URL, "/"),
		Builds: o.Builds, Limits: o.Limits, Log: o.Server.Log, API: api,
		DataPools: func(blobs blob.Store) (*datapool.Service, error) {
			return datapool.Open(ctx, datapool.Options{
				Store: s.Store().DataPools(), Blobs: blobs, Access: identity, Audit: s.Store().Audit(),
				Dir: filepath.Join(o.Dir, poolsDir), MaxFile: o.MaxPoolFile, Log: o.Server.Log,
			})
		},
		Secrets: func(services secretstore.Services) *secretstore.Service {
			return secretstore.Open(ctx, secretstore.Options{
				Store: s.Store().Secrets(), Keyring: s.Keyring(), Access: identity, Services: services, References: o.References, Hooks: o.Hooks, Log: o.Server.Log,
			})
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	auditapi.Register(api, auditapi.Options{Store: s.Store().Audit(), Signer: audit.NewSigner(s.Keyring()), Anchored: s.Anchored})
	datapoolapi.Register(api, h.pools)
	secretsapi.Register(api, h.secrets)
	accessapi.Register(api, accessapi.Options{Access: identity, Catalog: &subscribable{h}})
	err = o.Started(Started{
		URL: s.URL(), MetricsURL: s.MetricsURL(), OwnerToken: filepath.Join(o.Dir, OwnerTokenName), First: first,
	})
	if err != nil {
		return err
	}
	return h.Serve(ctx)
}

// recordUnlock has the log of the owner of the platform have the actions of the server, and
// returns the owner.
func recordUnlock(ctx context.Context, o RunOptions, s *server.Server) (owner string, err error) {
	user, err := s.Store().Access().UserByName(ctx, ownerName)
	if err != nil && !errors.Is(err, access.ErrNotFound) {
		return "", err
	}
	return user.ID, s.RecordUnlock(ctx, user.ID, o.Version)
}

// address names the client of a request: behind a proxy as that has noted it last.
func (o RunOptions) address() func(*http.Request) string {
	if !o.BehindProxy {
		return nil
	}
	return func(r *http.Request) string {
		forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if last := strings.TrimSpace(forwarded[len(forwarded)-1]); net.ParseIP(last) != nil {
			return last
		}
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			return r.RemoteAddr
		}
		return host
	}
}

// keepOwnerToken makes the owner and its token at the first start. The token is in the
// file before it counts as made: after a crash in between another one is made.
func keepOwnerToken(ctx context.Context, identity *access.Service, path string) (first bool, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	token, err := identity.OwnerToken(ctx, ownerName)
	if err != nil {
		return false, fmt.Errorf("make the token of the owner: %w", err)
	}
	defer token.Clear()
	file, err := os.CreateTemp(filepath.Dir(path), OwnerTokenName+"-") // only its owner can read it
	if err != nil {
		return false, fmt.Errorf("keep the token of the owner: %w", err)
	}
	_, err = file.Write(append(token.Reveal()[:token.Len():token.Len()], '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return false, errors.Join(fmt.Errorf("keep the token of the owner: %w", err), os.Remove(file.Name()))
	}
	return true, nil
}

// running tells which executions run, for their tokens. A start is in the store a
// moment after the process has begun, so the engine is asked.
type running struct{ engine *engine.Engine }

// Running implements [access.Executions].
func (r *running) Running(_ context.Context, id string) (bool, error) {
	return r.engine.Runs(execution.ID(id)), nil
}

// subscribable describes services to their subscribers.
type subscribable struct{ hub *Hub }

var _ accessapi.Catalog = (*subscribable)(nil)

// Subscribable implements [accessapi.Catalog]: a tenant may subscribe to its own
// published services, and to public ones.
func (s *subscribable) Subscribable(ctx context.Context, tenant, id string) (accessapi.Service, error) {
	found, err := s.hub.store.Service(ctx, id)
	if errors.Is(err, registry.ErrNotFound) || err == nil && found.Publication != registry.Public && found.Tenant != tenant {
		return accessapi.Service{}, access.ErrNotFound
	}
	if err == nil && found.Publication == registry.Unpublished {
		err = fmt.Errorf("%w: the service is not published", access.ErrInvalid)
	}
	if err != nil {
		return accessapi.Service{}, err
	}
	return s.describe(ctx, found)
}

// Describe implements [accessapi.Catalog].
func (s *subscribable) Describe(ctx context.Context, id string) (accessapi.Service, error) {
	found, err := s.hub.store.Service(ctx, id)
	if errors.Is(err, registry.ErrNotFound) {
		return accessapi.Service{}, access.ErrNotFound
	}
	if err != nil {
		return accessapi.Service{}, err
	}
	return s.describe(ctx, found)
}

func (s *subscribable) describe(ctx context.Context, found registry.Service) (accessapi.Service, error) {
	v, err := s.hub.current(ctx, found)
	if errors.Is(err, registry.ErrNotFound) {
		err = access.ErrNotFound
	}
	base := s.hub.URL
	if base == "" {
		base = s.hub.Server.URL()
	}
	return accessapi.Service{
		ID: found.ID, DefinitionID: v.ID, Name: found.Name, Type: managedType, Lifecycle: lifecycle(found.Publication), Context: found.Tenant,
		Version: v.Version, GatewayEndpoint: base + gatewayBase + "/" + found.Tenant + "/" + found.Name + "/" + v.Version,
	}, err
}

// Owned implements [accessapi.Catalog].
func (s *subscribable) Owned(ctx context.Context, tenant string) (int, error) {
	list, err := s.hub.allServices(ctx, tenant)
	return len(list), err
}
