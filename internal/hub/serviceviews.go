package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
)

// The lifecycles of a service.
const (
	lifecycleCreated    = "CREATED"
	lifecycleAccessible = "ACCESSIBLE"
	lifecyclePublished  = "PUBLISHED"
)

func lifecycle(s registry.Scope) string {
	switch s {
	case registry.Internal:
		return lifecycleAccessible
	case registry.Public:
		return lifecyclePublished
	default:
		return lifecycleCreated
	}
}

const managedType = "MANAGED"

// timeLayout is the form of a time in the platform API, always in UTC.
const timeLayout = "2006-01-02 15:04:05"

func formatTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(timeLayout)
	return &text
}

// serviceView is a service in the platform API.
type serviceView struct {
	ID                    string           `json:"id"`
	Name                  string           `json:"name"`
	DisplayName           string           `json:"displayName"`
	CurrentUserPermission access.Role      `json:"currentUserPermission"`
	Contacts              []contact        `json:"contacts"`
	Links                 []link           `json:"links"`
	ServiceDefinitions    []definitionView `json:"serviceDefinitions"`
}

type definitionView struct {
	ID                   string       `json:"id"`
	Version              string       `json:"version"`
	Name                 string       `json:"name"`
	Context              string       `json:"context"`
	Description          string       `json:"description"`
	Summary              string       `json:"summary"`
	Type                 string       `json:"type"`
	Lifecycle            string       `json:"lifecycle"`
	CreatedAt            *string      `json:"createdAt"`
	GatewayEndpoint      string       `json:"gatewayEndpoint"`
	ProductionEndpoint   string       `json:"productionEndpoint"`
	Configurations       []resource   `json:"configurations"`
	RuntimeConfiguration *runtimeView `json:"runtimeConfiguration,omitempty"`
	Source               *sourceView  `json:"source,omitempty"`
	PricingPlans         []string     `json:"pricingPlans" doc:"Always empty: nothing is sold here."`
	// ActiveRevision is not in the published API.
	ActiveRevision string `json:"activeRevision,omitempty" doc:"The id of the revision that is called."`
}

// subscriptionView is a subscription of a service.
type subscriptionView struct {
	ID          string          `json:"id"`
	Application applicationView `json:"application"`
	Service     subscribedView  `json:"service"`
	CreatedAt   *string         `json:"createdAt"`
	PricingPlan *string         `json:"pricingPlan" doc:"Always null."`
}

type applicationView struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// subscribedView is a service as a subscription shows it.
type subscribedView struct {
	ID                  string `json:"id"`
	ServiceDefinitionID string `json:"serviceDefinitionId"`
	Name                string `json:"name"`
	DisplayName         string `json:"displayName"`
	Type                string `json:"type"`
	Lifecycle           string `json:"lifecycle"`
	Context             string `json:"context" doc:"The id of the account that owns the service."`
	Version             string `json:"version"`
	GatewayEndpoint     string `json:"gatewayEndpoint"`
}

type sourceView struct {
	_    struct{} `nullable:"true"`
	Type string   `json:"type" doc:"file: an archive that is uploaded. This server has no other."`
}

type runtimeView struct {
	_                   struct{}          `nullable:"true"`
	Runtime             string            `json:"runtime" required:"false" doc:"PYTHON_TEMPLATE; it also takes programs built for Linux."`
	Environment         map[string]string `json:"environment" required:"false" doc:"Variables of each execution."`
	ApplyProviderTokens bool              `json:"applyProviderTokens" required:"false"`
}

type resource struct {
	Type        string `json:"type" enum:"cpu,memory,gpu"`
	Amount      int    `json:"amount"`
	Unit        string `json:"unit,omitempty" nullable:"true" doc:"m of cpu, M of memory."`
	Accelerator string `json:"accelerator,omitempty" nullable:"true"`
}

const pythonRuntime = "PYTHON_TEMPLATE"

// The limits of an execution that are shown where the owner has set none.
const (
	defaultMilliCPU = 1000
	defaultMemoryMB = 2048
)

// listOf decodes a list that was stored as JSON.
func listOf[T any](stored json.RawMessage) []T {
	list := []T{}
	if json.Unmarshal(stored, &list) != nil || list == nil {
		return []T{}
	}
	return list
}

// base is the address of the platform for the caller.
func (h *Hub) base(ctx context.Context) string { return cmp.Or(h.URL, platformapi.Origin(ctx)) }

// endpoint is where a version is called.
func (h *Hub) endpoint(ctx context.Context, s registry.Service, version string) string {
	return h.base(ctx) + gatewayBase + "/" + s.Tenant + "/" + s.Name + "/" + version
}

// view is a service as the caller sees it. Its account sees the settings, and others that
// maintain it.
func (h *Hub) view(ctx context.Context, s registry.Service, versions []registry.Version) (serviceView, error) {
	role, err := h.roleIn(ctx, s)
	if err != nil {
		return serviceView{}, err
	}
	view := serviceView{
		ID: s.ID, Name: s.Name, DisplayName: cmp.Or(s.DisplayName, s.Name), CurrentUserPermission: cmp.Or(role, access.Viewer),
		Contacts: listOf[contact](s.Contacts), Links: listOf[link](s.Links), ServiceDefinitions: []definitionView{},
	}
	own := s.Tenant == access.From(ctx).Tenant || role.Includes(access.Maintainer)
	if first, ok := registry.Latest(versions); ok { // clients take the first definition
		versions = append([]registry.Version{first}, without(versions, first.ID)...)
	}
	for _, v := range versions {
		endpoint := h.endpoint(ctx, s, v.Version)
		d := definitionView{
			ID: v.ID, Version: v.Version, Name: s.Name, Context: s.Tenant, Description: s.Description, Summary: s.Summary, Type: managedType,
			Lifecycle: lifecycle(s.Publication), CreatedAt: formatTime(v.CreatedAt), GatewayEndpoint: endpoint, ProductionEndpoint: endpoint,
			PricingPlans: []string{}, Configurations: []resource{}, ActiveRevision: v.Active,
		}
		if own {
			environment := v.Environment
			if environment == nil {
				environment = map[string]string{}
			}
			d.RuntimeConfiguration = &runtimeView{Runtime: pythonRuntime, Environment: environment, ApplyProviderTokens: v.ApplyProviderTokens}
			d.Source = &sourceView{Type: "file"}
			d.Configurations = []resource{
				{Type: "cpu", Amount: cmp.Or(v.MilliCPU, defaultMilliCPU), Unit: "m"},
				{Type: "memory", Amount: cmp.Or(v.MemoryMB, defaultMemoryMB), Unit: "M"}, {Type: "gpu", Accelerator: "NONE"},
			}
		}
		view.ServiceDefinitions = append(view.ServiceDefinitions, d)
	}
	return view, nil
}

func without(versions []registry.Version, id string) []registry.Version {
	var rest []registry.Version
	for _, v := range versions {
		if v.ID != id {
			rest = append(rest, v)
		}
	}
	return rest
}
