package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/qhubctl/qhubctl/internal/openapi"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/store"
)

// own finds the service of the caller's tenant that the request names, by its id, or
// by that of one of its versions.
func (h *Hub) own(ctx context.Context, c *call) (registry.Service, error) {
	return h.owned(ctx, c, c.r.PathValue("id"))
}

// owned is a service of the caller's tenant.
func (h *Hub) owned(ctx context.Context, c *call, id string) (registry.Service, error) {
	s, err := h.store.Service(ctx, id)
	if err == nil && s.Tenant != c.caller.Tenant {
		err = registry.ErrNotFound
	}
	return s, err
}

// visible is the service that the address names, if it is the caller's or public.
func (h *Hub) visible(ctx context.Context, c *call) (registry.Service, error) {
	s, err := h.store.Service(ctx, c.r.PathValue("id"))
	if err == nil && s.Tenant != c.caller.Tenant && s.Publication != registry.Public {
		err = registry.ErrNotFound
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

// ownCurrent is the current version of the caller's service that the address names.
func (h *Hub) ownCurrent(ctx context.Context, c *call) (registry.Version, error) {
	s, err := h.own(ctx, c)
	if err != nil {
		return registry.Version{}, err
	}
	return h.current(ctx, s)
}

func (h *Hub) listServices(ctx context.Context, c *call) error {
	services, err := h.store.Services(ctx, c.caller.Tenant, registry.Page{})
	if err != nil {
		return err
	}
	wanted := c.r.URL.Query()["lifecycle"]
	type overview struct {
		ID                  string  `json:"id"`
		ServiceDefinitionID string  `json:"serviceDefinitionId"`
		Name                string  `json:"name"`
		DisplayName         string  `json:"displayName"`
		Type                string  `json:"type"`
		Lifecycle           string  `json:"lifecycle"`
		CreatedAt           *string `json:"createdAt"`
	}
	list := []overview{}
	for _, s := range services {
		if !lifecycleWanted(wanted, s.Publication) {
			continue
		}
		v, err := h.current(ctx, s)
		if errors.Is(err, registry.ErrNotFound) { // deleted meanwhile
			continue
		}
		if err != nil {
			return err
		}
		list = append(list, overview{s.ID, v.ID, s.Name, cmp.Or(s.DisplayName, s.Name), managedType, lifecycle(s.Publication), formatTime(s.CreatedAt)})
	}
	return c.json(http.StatusOK, list)
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

func (h *Hub) nameAvailable(ctx context.Context, c *call) error {
	name, _, err := serviceNames(c.r.URL.Query().Get("name"))
	if err != nil {
		return c.json(http.StatusOK, false)
	}
	_, err = h.store.ServiceNamed(ctx, c.caller.Tenant, name)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	return c.json(http.StatusOK, err != nil)
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

func (h *Hub) getService(ctx context.Context, c *call) error {
	s, err := h.visible(ctx, c)
	if err != nil {
		return err
	}
	return c.service(ctx, http.StatusOK, s)
}

func (c *call) service(ctx context.Context, status int, s registry.Service) error {
	versions, err := c.hub.store.Versions(ctx, s.ID)
	if err != nil {
		return err
	}
	return c.json(status, c.view(s, versions))
}

// deleteService deletes a service. What waits is cancelled, and what runs ends.
func (h *Hub) deleteService(ctx context.Context, c *call) error {
	s, err := h.own(ctx, c)
	if err != nil {
		return err
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
		return err
	}
	for _, v := range versions {
		h.gateway.forget(v.ID)
	}
	// The answer does not wait, and a client that has gone changes nothing.
	h.tasks.Go(func() { h.discard(context.WithoutCancel(ctx), versions, revisions) })
	return c.noContent()
}

// discard ends the executions of versions that were deleted, and removes what these
// have on the disk. What it does not get to is removed at the next start.
func (h *Hub) discard(ctx context.Context, versions []registry.Version, revisions []registry.Revision) {
	for _, v := range versions {
		service := h.Server.Engine().Service(v.ID)
		if err := cancelAll(ctx, service); err != nil {
			h.Log.Warn("cannot cancel the executions of a deleted service", "version", v.ID, "error", err)
		}
		service.Deactivate()
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

// change changes the texts of a service, as the body says.
func (h *Hub) change(ctx context.Context, c *call, change func(*registry.Service)) error {
	s, err := h.own(ctx, c)
	if err != nil {
		return err
	}
	_, err = h.store.ChangeService(ctx, s.ID, func(s *registry.Service) error {
		change(s)
		return s.Check()
	})
	if err != nil {
		return err
	}
	h.gateway.changed()
	return c.noContent()
}

func (h *Hub) setDisplayName(ctx context.Context, c *call) error {
	var body struct{ DisplayName string }
	if err := c.read(&body); err != nil {
		return err
	}
	return h.change(ctx, c, func(s *registry.Service) { s.DisplayName = body.DisplayName })
}

func (h *Hub) setSummary(ctx context.Context, c *call) error {
	var body struct{ Summary string }
	if err := c.read(&body); err != nil {
		return err
	}
	return h.change(ctx, c, func(s *registry.Service) { s.Summary = body.Summary })
}

func (h *Hub) setDescription(ctx context.Context, c *call) error {
	var body struct{ Description string }
	if err := c.read(&body); err != nil {
		return err
	}
	return h.change(ctx, c, func(s *registry.Service) { s.Description = body.Description })
}

func (c *call) readList() (json.RawMessage, error) {
	var list []map[string]any
	if err := c.read(&list); err != nil {
		return nil, err
	}
	return json.Marshal(list)
}

func (h *Hub) setContacts(ctx context.Context, c *call) error {
	list, err := c.readList()
	if err != nil {
		return err
	}
	return h.change(ctx, c, func(s *registry.Service) { s.Contacts = list })
}

func (h *Hub) setLinks(ctx context.Context, c *call) error {
	list, err := c.readList()
	if err != nil {
		return err
	}
	return h.change(ctx, c, func(s *registry.Service) { s.Links = list })
}

// getOpenAPI answers with the document as a JSON string, which is what published
// clients read, or as a document where that is asked for.
func (h *Hub) getOpenAPI(ctx context.Context, c *call) error {
	s, err := h.visible(ctx, c)
	if err != nil {
		return err
	}
	v, err := h.current(ctx, s)
	if err == nil {
		err = h.Revisions.ensure(ctx, v.ID)
	}
	if err != nil {
		return err
	}
	r, ok := h.Server.Engine().Service(v.ID).Current()
	if !ok {
		return registry.ErrNotFound
	}
	request, err := r.RequestSignature(ctx)
	if err != nil {
		return err
	}
	document, err := openapi.New(request, openapi.Options{
		Title: r.Name, Version: r.Version, Description: r.Description, ServerURL: c.endpoint(s, v.Version),
		TokenURL: strings.TrimSuffix(c.endpoint(registry.Service{}, ""), gatewayBase+"///") + "/token",
	})
	if err != nil {
		return err
	}
	text, err := document.JSON()
	if err != nil {
		return err
	}
	return c.document(text)
}

const yamlFormat = "YAML"

func (c *call) document(text []byte) error {
	accept, yamlWanted := c.r.Header.Get("Accept"), strings.EqualFold(c.r.URL.Query().Get("format"), yamlFormat)
	switch {
	case strings.Contains(accept, "application/openapi+json"):
		c.write(http.StatusOK, "application/openapi+json", text)
		return nil
	case yamlWanted, strings.Contains(accept, "yaml"):
		var document any
		if err := json.Unmarshal(text, &document); err != nil {
			return err
		}
		shown, err := yaml.Marshal(document)
		if err != nil {
			return err
		}
		if !strings.Contains(accept, "yaml") {
			return c.json(http.StatusOK, string(shown))
		}
		c.write(http.StatusOK, "application/openapi+yaml", shown)
		return nil
	}
	return c.json(http.StatusOK, string(text))
}

func (h *Hub) publish(ctx context.Context, c *call) error {
	var body struct{ Scope registry.Scope }
	if err := c.read(&body); err != nil {
		return err
	}
	if body.Scope == registry.Unpublished || !body.Scope.Valid() {
		return problem(http.StatusBadRequest, "scope must be INTERNAL or PUBLIC.")
	}
	v, err := h.ownCurrent(ctx, c)
	if err != nil {
		return err
	}
	if v.Active == "" {
		return problem(http.StatusBadRequest, "The service must be built before it can be published.")
	}
	return h.change(ctx, c, func(s *registry.Service) { s.Publication = body.Scope })
}

func (h *Hub) unpublish(ctx context.Context, c *call) error {
	s, err := h.own(ctx, c)
	if err != nil {
		return err
	}
	subscriptions, err := h.Access.SubscriptionsOf(ctx, s.ID)
	if err != nil {
		return err
	}
	if len(subscriptions) > 0 {
		if c.r.URL.Query().Get("force") != "true" {
			return problem(http.StatusConflict, fmt.Sprintf("The service has %d subscriptions. They end with ?force=true.", len(subscriptions)))
		}
		if err := h.Access.UnsubscribeAll(ctx, s.ID); err != nil {
			return err
		}
	}
	return h.change(ctx, c, func(s *registry.Service) { s.Publication = registry.Unpublished })
}

func (h *Hub) listSubscriptions(ctx context.Context, c *call) error {
	s, err := h.own(ctx, c)
	if err != nil {
		return err
	}
	subscriptions, err := h.Access.SubscriptionsOf(ctx, s.ID)
	if err != nil {
		return err
	}
	v, err := h.current(ctx, s)
	if err != nil {
		return err
	}
	list := []map[string]any{}
	for _, one := range subscriptions {
		list = append(list, map[string]any{
			"id": one.ID, "application": map[string]any{"id": one.Application.ID, "name": one.Application.Name},
			"service": c.subscribed(s, v), "createdAt": formatTime(one.CreatedAt), "pricingPlan": nil,
		})
	}
	return c.json(http.StatusOK, list)
}

// subscribed is a service as a subscription shows it.
func (c *call) subscribed(s registry.Service, v registry.Version) map[string]any {
	return map[string]any{
		"id": s.ID, "serviceDefinitionId": v.ID, "name": s.Name, "displayName": cmp.Or(s.DisplayName, s.Name), "type": managedType,
		"lifecycle": lifecycle(s.Publication), "context": s.Tenant, "version": v.Version, "gatewayEndpoint": c.endpoint(s, v.Version),
	}
}

// newService makes a service of a tenant with its first version.
func (h *Hub) newService(ctx context.Context, tenant, given, version string, texts registry.Texts, settings registry.Settings) (registry.Service, registry.Version, error) {
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
	v := registry.Version{ID: uuid.NewString(), Service: s.ID, Version: version, Settings: settings}
	if err := h.store.CreateService(ctx, s, v); err != nil {
		return registry.Service{}, registry.Version{}, err
	}
	h.gateway.changed()
	s, err = h.store.Service(ctx, s.ID)
	return s, v, err
}
