package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/openapi"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/store"
)

// own finds a service of the caller's tenant, or one that this has a share of which
// allows what the route is for.
func (h *Hub) own(ctx context.Context, id string) (registry.Service, error) {
	s, err := h.store.Service(ctx, id)
	if err == nil && s.Tenant != access.From(ctx).Tenant {
		err = h.shared(ctx, s)
	}
	return s, err
}

// visible finds a service that is the caller's, shared with it, or public.
func (h *Hub) visible(ctx context.Context, id string) (registry.Service, error) {
	s, err := h.store.Service(ctx, id)
	if err == nil && s.Tenant != access.From(ctx).Tenant && s.Publication != registry.Public {
		var role access.Role
		if role, err = h.roleIn(ctx, s); err == nil && role == "" {
			err = registry.ErrNotFound
		}
	}
	return s, err
}

// current is the version of a service that calls without a version are about: the
// latest, or the oldest where none is active.
func (h *Hub) current(ctx context.Context, s registry.Service) (registry.Version, error) {
	versions, err := h.store.Versions(ctx, s.ID)
	if err != nil {
		return registry.Version{}, err
	}
	if v, ok := registry.Latest(versions); ok {
		return v, nil
	}
	if len(versions) == 0 {
		return registry.Version{}, registry.ErrNotFound
	}
	return versions[0], nil
}

// ownCurrent is the current version of a service of the caller's tenant.
func (h *Hub) ownCurrent(ctx context.Context, id string) (registry.Version, error) {
	s, err := h.own(ctx, id)
	if err != nil {
		return registry.Version{}, err
	}
	return h.current(ctx, s)
}

// overview is a service in a list.
type overview struct {
	ID                  string  `json:"id"`
	ServiceDefinitionID string  `json:"serviceDefinitionId" doc:"The id of the version that is called without one."`
	Name                string  `json:"name"`
	DisplayName         string  `json:"displayName"`
	Type                string  `json:"type" enum:"MANAGED"`
	Lifecycle           string  `json:"lifecycle" enum:"CREATED,ACCESSIBLE,PUBLISHED"`
	CreatedAt           *string `json:"createdAt"`
}

type servicesQuery struct {
	platformapi.PageQuery
	Lifecycle []string `query:"lifecycle,explode" doc:"Services in one of these states only: CREATED, ACCESSIBLE (or INTERNAL), PUBLISHED (or PUBLIC)."`
}

func (h *Hub) listServices(ctx context.Context, in *servicesQuery) (*platformapi.List[overview], error) {
	services, err := h.allServices(ctx, access.From(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	others, err := h.sharedWith(ctx, access.From(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	services = append(services, others...)
	services = slices.DeleteFunc(services, func(s registry.Service) bool { return !lifecycleWanted(in.Lifecycle, s.Publication) })
	page := platformapi.ListOf(&in.PageQuery, services)
	list := []overview{}
	for _, s := range page.Body {
		v, err := h.current(ctx, s)
		if errors.Is(err, registry.ErrNotFound) { // deleted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, overview{s.ID, v.ID, s.Name, cmp.Or(s.DisplayName, s.Name), managedType, lifecycle(s.Publication), formatTime(s.CreatedAt)})
	}
	return &platformapi.List[overview]{Total: page.Total, Link: page.Link, Body: list}, nil
}

// lifecycleWanted knows both sets of words that clients use.
func lifecycleWanted(wanted []string, s registry.Scope) bool {
	if len(wanted) == 0 {
		return true
	}
	for _, word := range wanted {
		if word == lifecycle(s) || word == string(s) && word != "" {
			return true
		}
	}
	return false
}

type nameQuery struct {
	Name string `query:"name" doc:"A name, as a person types it."`
}

func (h *Hub) nameAvailable(ctx context.Context, in *nameQuery) (*platformapi.Body[bool], error) {
	name, _, err := serviceNames(in.Name)
	if err != nil {
		return &platformapi.Body[bool]{}, nil //nolint:nilerr // nothing can have this name
	}
	_, err = h.store.ServiceNamed(ctx, access.From(ctx).Tenant, name)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, err
	}
	return &platformapi.Body[bool]{Body: err != nil}, nil
}

// serviceNames are the name of a service in addresses, and the one for people, of what
// a person has typed.
func serviceNames(given string) (name, display string, err error) {
	given = strings.TrimSpace(given)
	if registry.CheckName(given) == nil {
		return given, "", nil
	}
	name = registry.NameOf(given)
	return name, given, registry.CheckName(name)
}

func (h *Hub) getService(ctx context.Context, in *ByID) (*platformapi.Body[serviceView], error) {
	s, err := h.visible(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	view, err := h.shownService(ctx, s)
	return &platformapi.Body[serviceView]{Body: view}, err
}

func (h *Hub) shownService(ctx context.Context, s registry.Service) (serviceView, error) {
	versions, err := h.store.Versions(ctx, s.ID)
	if err != nil {
		return serviceView{}, err
	}
	return h.view(ctx, s, versions)
}

// deleteService deletes a service. What waits is cancelled, and what runs ends.
func (h *Hub) deleteService(ctx context.Context, in *ByID) (*none, error) {
	s, err := h.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	versions, err := h.store.Versions(ctx, s.ID)
	if err == nil {
		err = h.Access.UnsubscribeAll(ctx, s.ID)
	}
	var revisions []registry.Revision
	for _, v := range versions {
		if err == nil {
			var some []registry.Revision
			some, err = h.store.Revisions(ctx, v.ID, registry.Page{})
			revisions = append(revisions, some...)
		}
	}
	if err == nil {
		err = h.store.DeleteService(ctx, s.ID)
	}
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		h.gateway.forget(v.ID)
	}
	// The answer does not wait, and a client that has gone changes nothing.
	h.tasks.Go(func() { h.discard(context.WithoutCancel(ctx), versions, revisions) })
	return nil, nil
}

// discard ends the executions of versions that were deleted, and removes what these
// have on the disk. What it does not get to is removed at the next start.
func (h *Hub) discard(ctx context.Context, versions []registry.Version, revisions []registry.Revision) {
	for _, v := range versions {
		h.Revisions.drop(v.ID) // first, so that it accepts no more executions
		if err := cancelAll(ctx, h.Server.Engine().Service(v.ID)); err != nil {
			h.Log.Warn("cannot cancel the executions of a deleted service", "version", v.ID, "error", err)
		}
	}
	for _, r := range revisions {
		if r.State == registry.Working {
			continue // its build removes it
		}
		if err := h.builder.Remove(r.ID); err != nil {
			h.Log.Warn("cannot remove a revision", "revision", r.ID, "error", err)
		}
	}
}

// cancelAll cancels what waits and runs of a service.
func cancelAll(ctx context.Context, service engineService) error {
	q := store.ListQuery{}
	for {
		page, err := service.List(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range page.Executions {
			if e.Status.Final() {
				continue
			}
			if _, err := service.Cancel(ctx, e.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// getOpenAPI answers with the document as a JSON string, which is what published
// clients read, or as a document where that is asked for.
// The media types of descriptions.
const (
	openAPIJSON = "application/openapi+json"
	openAPIYAML = "application/openapi+yaml"
)

func (h *Hub) getOpenAPI(ctx context.Context, in *openAPIQuery, w http.ResponseWriter, r *http.Request) error {
	s, err := h.visible(ctx, in.ID)
	if err != nil {
		return err
	}
	return h.writeServiceOpenAPI(ctx, w, r, s, in.Format)
}

// writeServiceOpenAPI answers with the description of a service's current version.
func (h *Hub) writeServiceOpenAPI(ctx context.Context, w http.ResponseWriter, r *http.Request, s registry.Service, format string) error {
	v, active, err := h.callable(ctx, s)
	if err != nil {
		return err
	}
	if v.OpenAPI != nil {
		return writeOpenAPI(w, r, format, v.OpenAPI)
	}
	request, err := active.RequestSignature(ctx)
	if err != nil {
		return err
	}
	document, err := openapi.New(request, openapi.Options{
		Title: active.Name, Version: active.Version, Description: active.Description, ServerURL: h.endpoint(ctx, s, v.Version),
		TokenURL: h.base(ctx) + "/token",
	})
	if err != nil {
		return err
	}
	text, err := document.JSON()
	if err != nil {
		return err
	}
	return writeOpenAPI(w, r, format, text)
}

type openAPIQuery struct {
	ByID
	Format string `query:"format" doc:"JSON or YAML: what the JSON string holds."`
}

const yamlFormat = "YAML"

func writeOpenAPI(w http.ResponseWriter, r *http.Request, format string, text []byte) error {
	accept := r.Header.Get("Accept")
	switch {
	case strings.Contains(accept, openAPIJSON):
		platformapi.WriteText(w, http.StatusOK, openAPIJSON, text)
		return nil
	case strings.EqualFold(format, yamlFormat), strings.Contains(accept, "yaml"):
		var document any
		if err := json.Unmarshal(text, &document); err != nil {
			return err
		}
		shown, err := yaml.Marshal(document)
		if err != nil {
			return err
		}
		if !strings.Contains(accept, "yaml") {
			return platformapi.WriteJSON(w, http.StatusOK, string(shown))
		}
		platformapi.WriteText(w, http.StatusOK, openAPIYAML, shown)
		return nil
	}
	return platformapi.WriteJSON(w, http.StatusOK, string(text))
}

type publishInput struct {
	ByID
	Body struct {
		Scope registry.Scope `json:"scope,omitempty" enum:"INTERNAL,PUBLIC"`
	}
}

func (h *Hub) publish(ctx context.Context, in *publishInput) (*none, error) {
	if in.Body.Scope == registry.Unpublished || !in.Body.Scope.Valid() {
		return nil, problem(http.StatusBadRequest, "scope must be INTERNAL or PUBLIC.")
	}
	v, err := h.ownCurrent(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if v.Active == "" {
		return nil, problem(http.StatusBadRequest, "The service must be built before it can be published.")
	}
	if in.Body.Scope == registry.Internal {
		if err := h.onlyOwnSubscribers(ctx, in.ID); err != nil {
			return nil, err
		}
	}
	audit.Note(ctx, "scope", string(in.Body.Scope))
	return h.change(ctx, in.ID, func(s *registry.Service) { s.Publication = in.Body.Scope })
}

// onlyOwnSubscribers returns an error if applications of other accounts are subscribed to
// a service of the caller.
func (h *Hub) onlyOwnSubscribers(ctx context.Context, service string) error {
	subscriptions, err := h.Access.SubscriptionsOf(ctx, service)
	if err != nil {
		return err
	}
	others := 0
	for _, s := range subscriptions {
		if s.Application.Tenant != access.From(ctx).Tenant {
			others++
		}
	}
	if others > 0 {
		return problem(http.StatusConflict, fmt.Sprintf("Applications of other accounts are subscribed to the service (%d). Unpublish it with ?force=true first, which ends all subscriptions.", others))
	}
	return nil
}

type unpublishInput struct {
	ByID
	Force bool `query:"force" doc:"End the subscriptions. Without it, a service with subscriptions is a 409."`
}

func (h *Hub) unpublish(ctx context.Context, in *unpublishInput) (*none, error) {
	s, err := h.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	subscriptions, err := h.Access.SubscriptionsOf(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	if len(subscriptions) > 0 {
		if !in.Force {
			return nil, problem(http.StatusConflict, fmt.Sprintf("Applications are subscribed to the service (%d). Their subscriptions end with ?force=true.", len(subscriptions)))
		}
		if err := h.Access.UnsubscribeAll(ctx, s.ID); err != nil {
			return nil, err
		}
	}
	return h.change(ctx, in.ID, func(s *registry.Service) { s.Publication = registry.Unpublished })
}

// PageByID names a part of a list of a service.
type PageByID struct {
	platformapi.PageQuery
	ByID
}

func (h *Hub) listSubscriptions(ctx context.Context, in *PageByID) (*platformapi.List[subscriptionView], error) {
	s, err := h.mine(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	subscriptions, err := h.Access.SubscriptionsOf(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	v, err := h.current(ctx, s)
	if err != nil {
		return nil, err
	}
	views := []subscriptionView{}
	for _, one := range subscriptions {
		views = append(views, subscriptionView{
			ID: one.ID, Application: applicationView{one.Application.ID, one.Application.Name},
			Service: h.subscribed(ctx, s, v), CreatedAt: formatTime(one.CreatedAt),
		})
	}
	return platformapi.ListOf(&in.PageQuery, views), nil
}

// subscribed is a service as a subscription shows it.
func (h *Hub) subscribed(ctx context.Context, s registry.Service, v registry.Version) subscribedView {
	return subscribedView{
		ID: s.ID, ServiceDefinitionID: v.ID, Name: s.Name, DisplayName: cmp.Or(s.DisplayName, s.Name), Type: managedType,
		Lifecycle: lifecycle(s.Publication), Context: s.Tenant, Version: v.Version, GatewayEndpoint: h.endpoint(ctx, s, v.Version),
	}
}

// newService makes a service of a tenant with its first version.
func (h *Hub) newService(ctx context.Context, tenant, given, version string, texts registry.Texts, configure func(*registry.Version) error) (registry.Service, registry.Version, error) {
	name, display, err := serviceNames(given)
	if err == nil {
		err = registry.CheckVersion(version)
	}
	texts.DisplayName = cmp.Or(texts.DisplayName, display)
	if err == nil {
		err = texts.Check()
	}
	if err != nil {
		return registry.Service{}, registry.Version{}, err
	}
	s := registry.Service{ID: uuid.NewString(), Tenant: tenant, Name: name, Texts: texts}
	v := registry.Version{ID: uuid.NewString(), Service: s.ID, Version: version}
	audit.Note(ctx, "service", name)
	audit.Note(ctx, "serviceId", s.ID)
	if configure != nil {
		if err := configure(&v); err != nil {
			return registry.Service{}, registry.Version{}, err
		}
	}
	if err := h.store.CreateService(ctx, s, v); err != nil {
		return registry.Service{}, registry.Version{}, err
	}
	h.gateway.changed()
	s, err = h.store.Service(ctx, s.ID)
	return s, v, err
}
