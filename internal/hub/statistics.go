package hub

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
)

// statistics are numbers of a service.
type statistics struct {
	Stars         int         `json:"stars" doc:"Always 0."`
	Subscriptions int         `json:"subscriptionCount"`
	Executions    startCounts `json:"managedServiceExecutions"`
}

// startCounts is how many executions were accepted, of those that the server still has.
type startCounts struct {
	Total           int `json:"totalCount"`
	ThisMonth       int `json:"thisMonthCount" doc:"Since the first day of this month, UTC."`
	LastMonth       int `json:"lastMonthCount"`
	LastThreeMonths int `json:"lastThreeMonthsCount" doc:"In this month, and the two before."`
}

func (h *Hub) serviceStatistics(ctx context.Context, in *ByID) (*platformapi.Body[statistics], error) {
	s, err := h.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	subscriptions, err := h.Access.SubscriptionsOf(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	versions, err := h.store.Versions(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(versions))
	for i, v := range versions {
		ids[i] = v.ID
	}
	year, month, _ := time.Now().UTC().Date()
	first := func(ago time.Month) time.Time { return time.Date(year, month-ago, 1, 0, 0, 0, 0, time.UTC) }
	counts, err := h.store.CountSince(ctx, ids, time.Time{}, first(0), first(1), first(2))
	if err != nil {
		return nil, err
	}
	return &platformapi.Body[statistics]{Body: statistics{Subscriptions: len(subscriptions), Executions: startCounts{
		Total: counts[0], ThisMonth: counts[1], LastMonth: counts[2] - counts[1], LastThreeMonths: counts[3],
	}}}, nil
}

// entitlements are the limits of an account. All accounts have the same.
type entitlements struct {
	AccountType          string    `json:"accountType" enum:"STANDARD"`
	CPU                  sizeCap   `json:"cpuPerService"`
	Memory               sizeCap   `json:"memoryPerService"`
	GPU                  countCap  `json:"gpuPerService"`
	InternalPublications usedCount `json:"internalPublications"`
}

type sizeCap struct {
	Limit int    `json:"limit"`
	Unit  string `json:"unit"`
}

type countCap struct {
	Max int `json:"max"`
}

type usedCount struct {
	Current   int  `json:"current"`
	Unlimited bool `json:"unlimited"`
}

func (h *Hub) accountEntitlements(ctx context.Context, _ *none) (*platformapi.Body[entitlements], error) {
	services, err := h.allServices(ctx, access.From(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	internal := 0
	for _, s := range services {
		if s.Publication == registry.Internal {
			internal++
		}
	}
	return &platformapi.Body[entitlements]{Body: entitlements{
		AccountType: "STANDARD", CPU: sizeCap{maxMilliCPU, "m"}, Memory: sizeCap{maxMemoryMB, "M"},
		InternalPublications: usedCount{Current: internal, Unlimited: true},
	}}, nil
}
