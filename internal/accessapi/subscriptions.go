package accessapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// A Subscription is a subscription as clients see it.
type Subscription struct {
	ID          string      `json:"id"`
	Application application `json:"application"`
	Service     Service     `json:"service"`
	CreatedAt   *string     `json:"createdAt"`
}

// Subscriptions describes subscriptions to the caller of a context.
func Subscriptions(ctx context.Context, catalog Catalog, all []access.Subscription) ([]Subscription, error) {
	described := make([]Subscription, 0, len(all))
	services := map[string]Service{}
	for _, s := range all {
		service, ok := services[s.Service]
		if !ok {
			var err error
			service, err = catalog.Describe(ctx, s.Service)
			if errors.Is(err, access.ErrNotFound) {
				continue // it is being deleted
			}
			if err != nil {
				return nil, err
			}
			services[s.Service] = service
		}
		described = append(described, Subscription{
			ID: s.ID, Application: asApplication(ctx, s.Application), Service: service, CreatedAt: text(s.CreatedAt),
		})
	}
	return described, nil
}

func (r routes) find(ctx context.Context, q access.SubscriptionQuery) ([]Subscription, error) {
	all, err := r.Access.Subscriptions(ctx, access.From(ctx), q)
	if err != nil {
		return nil, err
	}
	return Subscriptions(ctx, r.Catalog, all)
}

func (r routes) subscriptions(api *platformapi.API) {
	const path, tag = catalog + "/subscriptions", "Applications"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: catalog + "/applications/{id}/subscriptions", ID: "getApplicationSubscriptions", Tag: tag,
		Summary: "List the subscriptions of an application", Right: access.ViewTenant,
	}, func(ctx context.Context, in *PageByID) (*platformapi.List[Subscription], error) {
		if _, err := r.Access.Application(ctx, access.From(ctx), in.ID); err != nil {
			return nil, err
		}
		all, err := r.find(ctx, access.SubscriptionQuery{Application: in.ID})
		return page(&in.PageQuery, all, err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: path, ID: "createSubscription", Tag: tag,
		Summary: "Subscribe an application to a service", Right: access.ManageApplications, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct {
		Body struct {
			Service     string `json:"serviceId" maxLength:"64"`
			Application string `json:"applicationId" maxLength:"64"`
		}
	}) (*platformapi.Body[Subscription], error) {
		p := access.From(ctx)
		service, err := r.Catalog.Subscribable(ctx, p.Tenant, in.Body.Service)
		if err != nil {
			return nil, err
		}
		s, err := r.Access.Subscribe(ctx, p, in.Body.Application, service.ID)
		return answer(Subscription{ID: s.ID, Application: asApplication(ctx, s.Application), Service: service, CreatedAt: text(s.CreatedAt)}, err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path + "/{id}", ID: "getSubscription", Tag: tag,
		Summary: "Read a subscription", Right: access.ViewTenant,
	}, func(ctx context.Context, in *ByID) (*platformapi.Body[Subscription], error) {
		found, err := r.find(ctx, access.SubscriptionQuery{ID: in.ID})
		if err == nil && len(found) == 0 {
			err = access.ErrNotFound
		}
		if err != nil {
			return nil, err
		}
		return answer(found[0], nil)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: path + "/{id}", ID: "deleteSubscription", Tag: tag,
		Summary: "End a subscription", Right: access.ManageApplications,
	}, func(ctx context.Context, in *ByID) (*none, error) {
		return nil, r.Access.Unsubscribe(ctx, access.From(ctx), in.ID)
	})
}
