package hub

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
)

// offer is a published service in a list.
type offer struct {
	ID              string `json:"id"`
	ServiceID       string `json:"serviceId" doc:"The same as id."`
	Name            string `json:"name"`
	DisplayName     string `json:"displayName"`
	Summary         string `json:"summary"`
	ProviderID      string `json:"providerId" doc:"The account that owns it."`
	ProviderName    string `json:"providerName"`
	ServiceType     string `json:"serviceType" enum:"MANAGED"`
	PricingPlanType string `json:"pricingPlanType" enum:"FREE"`
	Stars           int    `json:"stars"`
}

// offerDetails are what a subscriber reads of a published service.
type offerDetails struct {
	ID              string    `json:"id"`
	ServiceID       string    `json:"serviceId" doc:"The same as id."`
	Name            string    `json:"name"`
	DisplayName     string    `json:"displayName"`
	Summary         string    `json:"summary"`
	Description     string    `json:"description"`
	ProviderID      string    `json:"providerId" doc:"The account that owns it."`
	ProviderName    string    `json:"providerName"`
	ServiceType     string    `json:"serviceType" enum:"MANAGED"`
	PricingPlanType string    `json:"pricingPlanType" enum:"FREE"`
	Lifecycle       string    `json:"lifecycle" enum:"ACCESSIBLE,PUBLISHED"`
	Context         string    `json:"context" doc:"The id of the account in addresses."`
	Version         string    `json:"version"`
	GatewayEndpoint string    `json:"gatewayEndpoint"`
	Contacts        []contact `json:"contacts"`
	Links           []link    `json:"links"`
	Stars           int       `json:"stars"`
	StarredByUser   bool      `json:"starredByUser"`
}

// free is the pricing plan of every service: nothing is sold here.
const free = "FREE"

type offersQuery struct {
	platformapi.PageQuery
	Sort string `query:"sort" doc:"name, displayName or createdAt; then a comma, and asc or desc. Absent: createdAt,desc."`
}

// offered reports whether a service is in the marketplace of an account.
func offered(s registry.Service, tenant string) bool {
	return s.Publication == registry.Public || s.Publication == registry.Internal && s.Tenant == tenant
}

// listOffers lists the services that the account may subscribe to.
func (h *Hub) listOffers(ctx context.Context, in *offersQuery) (*platformapi.Body[platformapi.Page[offer]], error) {
	tenant := access.From(ctx).Tenant
	own, err := h.allServices(ctx, tenant)
	if err != nil {
		return nil, err
	}
	public, err := h.allServices(ctx, "")
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(own, func(s registry.Service) bool { return !offered(s, tenant) })
	for _, s := range public {
		if s.Tenant != tenant {
			all = append(all, s)
		}
	}
	if err := sortOffers(all, in.Sort); err != nil {
		return nil, err
	}
	offset, limit := in.Bounds()
	first := min(offset, len(all))
	page := []offer{}
	for _, s := range all[first:min(first+limit, len(all))] {
		provider, err := h.providerName(ctx, s.Tenant)
		if err != nil {
			return nil, err
		}
		page = append(page, offer{
			ID: s.ID, ServiceID: s.ID, Name: s.Name, DisplayName: cmp.Or(s.DisplayName, s.Name), Summary: s.Summary,
			ProviderID: s.Tenant, ProviderName: provider, ServiceType: managedType, PricingPlanType: free,
		})
	}
	return platformapi.PageOf(&in.PageQuery, page, len(all)), nil
}

func sortOffers(all []registry.Service, sort string) error {
	by, direction, _ := strings.Cut(sort, ",")
	var compare func(a, b registry.Service) int
	switch by {
	case "", "createdAt":
		compare = func(a, b registry.Service) int { return a.CreatedAt.Compare(b.CreatedAt) }
	case "name":
		compare = func(a, b registry.Service) int { return strings.Compare(a.Name, b.Name) }
	case "displayName":
		compare = func(a, b registry.Service) int {
			return strings.Compare(cmp.Or(a.DisplayName, a.Name), cmp.Or(b.DisplayName, b.Name))
		}
	}
	if compare == nil || direction != "" && direction != "asc" && direction != "desc" {
		return problem(http.StatusBadRequest, "sort must be name, displayName or createdAt; then a comma, and asc or desc.")
	}
	sign := 1
	if by == "" || direction == "desc" {
		sign = -1
	}
	slices.SortStableFunc(all, func(a, b registry.Service) int { return sign * cmp.Or(compare(a, b), strings.Compare(a.ID, b.ID)) })
	return nil
}

// allServices are all services of a tenant, or all public ones, the newest first.
func (h *Hub) allServices(ctx context.Context, tenant string) ([]registry.Service, error) {
	const part = 1000
	var all []registry.Service
	for {
		some, err := h.store.Services(ctx, tenant, registry.Page{Offset: len(all), Limit: part})
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(some) < part {
			return all, nil
		}
	}
}

// providerName is the name of an account; empty of one that was deleted.
func (h *Hub) providerName(ctx context.Context, tenant string) (string, error) {
	provider, err := h.Access.Tenant(ctx, tenant)
	if errors.Is(err, access.ErrNotFound) {
		return "", nil
	}
	return cmp.Or(provider.DisplayName, provider.Name), err
}

// offer finds a service that the account may subscribe to.
func (h *Hub) offer(ctx context.Context, id string) (registry.Service, error) {
	s, err := h.store.Service(ctx, id)
	if err == nil && !offered(s, access.From(ctx).Tenant) {
		err = registry.ErrNotFound
	}
	return s, err
}

func (h *Hub) getOffer(ctx context.Context, in *ByID) (*platformapi.Body[offerDetails], error) {
	s, err := h.offer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	v, err := h.current(ctx, s)
	if err != nil {
		return nil, err
	}
	provider, err := h.providerName(ctx, s.Tenant)
	return &platformapi.Body[offerDetails]{Body: offerDetails{
		ID: s.ID, ServiceID: s.ID, Name: s.Name, DisplayName: cmp.Or(s.DisplayName, s.Name), Summary: s.Summary, Description: s.Description,
		ProviderID: s.Tenant, ProviderName: provider, ServiceType: managedType, PricingPlanType: free, Lifecycle: lifecycle(s.Publication),
		Context: s.Tenant, Version: v.Version, GatewayEndpoint: h.endpoint(ctx, s, v.Version), Contacts: listOf[contact](s.Contacts), Links: listOf[link](s.Links),
	}}, err
}

func (h *Hub) getOfferOpenAPI(ctx context.Context, in *openAPIQuery, w http.ResponseWriter, r *http.Request) error {
	s, err := h.offer(ctx, in.ID)
	if err != nil {
		return err
	}
	return h.writeServiceOpenAPI(ctx, w, r, s, in.Format)
}
