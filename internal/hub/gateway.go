package hub

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/web"
)

const (
	gatewayBase = "/gateway"
	latest      = "latest"
)

// gateway finds the Service API that a request is for.
type gateway struct {
	hub *Hub
	// generation counts changes of the registry, each of which makes the known targets
	// invalid.
	generation atomic.Uint64

	mu      sync.RWMutex
	known   map[string]target // by the base path
	apis    map[string]*httpapi.API
	drained bool
}

// A target is where a base path leads.
type target struct {
	generation uint64
	service    registry.Service
	version    registry.Version
	api        *httpapi.API
}

func (g *gateway) init(h *Hub) {
	g.hub, g.known, g.apis = h, map[string]target{}, map[string]*httpapi.API{}
}

// changed says that the registry has changed.
func (g *gateway) changed() { g.generation.Add(1) }

func (g *gateway) drain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drained = true
	for _, api := range g.apis {
		api.Drain()
	}
}

// ServeHTTP implements [http.Handler]. A service that the caller may not call is not
// there.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, ok := g.hub.API.Identify(w, r)
	if !ok {
		return
	}
	base, ok := gatewayPath(r.URL.Path)
	if !ok {
		g.hub.API.WriteError(w, r, errNotFound)
		return
	}
	found, err := g.find(r.Context(), base, func(ctx context.Context, s registry.Service) error {
		authorized, err := g.hub.Access.Authorize(ctx, caller, access.ServiceRef{ID: s.ID, Tenant: s.Tenant})
		if errors.Is(err, access.ErrNotFound) {
			err = registry.ErrNotFound // the answer for a service that does not exist
		}
		caller = authorized
		return err
	})
	if err != nil {
		g.hub.API.WriteError(w, r, err)
		return
	}
	ctx := access.With(r.Context(), caller)
	if token := r.Header.Get(parentHeader); token != "" && r.Method == http.MethodPost {
		ctx = g.hub.inParent(ctx, token)
	}
	if r.Header.Get(storeInputHeader) == "true" && caller.Kind == access.Person {
		ctx = context.WithValue(ctx, storeInputKey{}, true)
	}
	if r.Method == http.MethodPost {
		var end func()
		ctx, w, end = g.hub.repeats.watch(ctx, w)
		defer end()
	}
	found.api.ServeHTTP(w, r.WithContext(ctx))
}

// gatewayPath is the base path of a request: /gateway and three more parts.
func gatewayPath(requested string) (base string, ok bool) {
	const parts = 5 // with the empty one before the first slash
	split := strings.SplitN(requested, "/", parts+1)
	if len(split) < parts {
		return "", false
	}
	base = strings.Join(split[:parts], "/")
	return base, path.Clean(base) == base
}

// find returns the target of a base path. authorize decides whether the caller may have
// it, before anything of the service is loaded. [registry.ErrNotFound].
func (g *gateway) find(ctx context.Context, base string, authorize func(context.Context, registry.Service) error) (target, error) {
	now := g.generation.Load()
	g.mu.RLock()
	found, ok := g.known[base]
	g.mu.RUnlock()
	if ok && found.generation == now {
		return found, authorize(ctx, found.service)
	}
	parts := strings.Split(base, "/") // "", gateway, tenant, service, version
	service, err := g.hub.store.ServiceNamed(ctx, parts[2], parts[3])
	if err == nil {
		err = authorize(ctx, service)
	}
	if err != nil {
		return target{}, err
	}
	versions, err := g.hub.store.Versions(ctx, service.ID)
	if err != nil {
		return target{}, err
	}
	version, ok := pick(versions, parts[4])
	if !ok {
		return target{}, registry.ErrNotFound
	}
	if err := g.hub.Revisions.ensure(ctx, version.ID); err != nil {
		return target{}, err
	}
	found = target{generation: now, service: service, version: version}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := base + " " + version.ID
	if found.api = g.apis[key]; found.api == nil {
		found.api = g.newAPI(base, service.ID, version)
		if g.drained {
			found.api.Drain()
		}
		g.apis[key] = found.api
	}
	g.known[base] = found
	return found, nil
}

// pick is the version of a name.
func pick(versions []registry.Version, name string) (registry.Version, bool) {
	if name == latest {
		return registry.Latest(versions)
	}
	for _, v := range versions {
		if v.Version == name {
			return v, true
		}
	}
	return registry.Version{}, false
}

// forget drops the APIs of a deleted version.
func (g *gateway) forget(version string) {
	g.changed()
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, api := range g.apis {
		if strings.HasSuffix(key, " "+version) {
			api.Drain()
			delete(g.apis, key)
		}
	}
	for base, found := range g.known {
		if found.version.ID == version {
			delete(g.known, base)
		}
	}
}

// eventsOf is an API of a version that is at the path /gateway/events. It sends the events
// of executions to members of the account that has started them.
func (g *gateway) eventsOf(version, service string) *httpapi.API {
	g.mu.Lock()
	defer g.mu.Unlock()
	base := gatewayBase + "/events"
	key := base + " " + version
	if g.apis[key] == nil {
		g.apis[key] = g.newAPI(base, service, registry.Version{ID: version})
		if g.drained {
			g.apis[key].Drain()
		}
	}
	return g.apis[key]
}

func (g *gateway) newAPI(base, service string, version registry.Version) *httpapi.API {
	h := g.hub
	url := ""
	if h.URL != "" {
		url = h.URL + base
	}
	return httpapi.New(httpapi.Options{
		Service: &scoped{Service: h.Server.Engine().Service(version.ID), service: service, version: version.ID, repeats: h.repeats},
		Auth:    authenticated{}, Peers: h.Server.Peers(), Base: base, URL: url, Home: web.Home, Log: h.Log,
		Pages: web.Pages(base, func(ctx context.Context) (web.Service, error) {
			r, ok := h.Server.Engine().Service(version.ID).Current()
			if !ok {
				return web.Service{}, errors.New("the service has no revision")
			}
			request, err := r.RequestSignature(ctx)
			return web.Service{Name: r.Name, Version: r.Version, Description: r.Description, Signature: r.Signature, Request: request, Console: true, ID: service}, err
		}),
	})
}

// authenticated is the authenticator of an API whose callers the gateway knows.
type authenticated struct{}

func (authenticated) Authenticate(r *http.Request) (access.Principal, error) {
	if p := access.From(r.Context()); p.Known() {
		return p, nil
	}
	return access.Principal{}, access.ErrUnauthenticated
}

func (authenticated) Challenge() string { return `Bearer realm="qhubctl"` }
