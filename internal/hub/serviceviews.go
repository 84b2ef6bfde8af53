package hub

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
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
	Contacts              json.RawMessage  `json:"contacts"`
	Links                 json.RawMessage  `json:"links"`
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
	PricingPlans         []any        `json:"pricingPlans"`
	// ActiveRevision is not in the published API.
	ActiveRevision string `json:"activeRevision,omitempty"`
}

type sourceView struct {
	Type string `json:"type"`
}

type runtimeView struct {
	Runtime             string            `json:"runtime"`
	Environment         map[string]string `json:"environment"`
	ApplyProviderTokens bool              `json:"applyProviderTokens"`
}

type resource struct {
	Type        string `json:"type"`
	Amount      int    `json:"amount"`
	Unit        string `json:"unit,omitempty"`
	Accelerator string `json:"accelerator,omitempty"`
}

const pythonRuntime = "PYTHON_TEMPLATE"

// The limits of an execution that are shown where the owner has set none.
const (
	defaultMilliCPU = 1000
	defaultMemoryMB = 2048
)

func listOr(list json.RawMessage) json.RawMessage {
	if list == nil {
		return json.RawMessage("[]")
	}
	return list
}

// endpoint is where a version is called.
func (c *call) endpoint(s registry.Service, version string) string {
	base := c.hub.URL
	if base == "" {
		base = "http://" + c.r.Host
		if c.r.TLS != nil {
			base = "https://" + c.r.Host
		}
	}
	return base + gatewayBase + "/" + s.Tenant + "/" + s.Name + "/" + version
}

// view is a service as the caller sees it. To strangers it shows no settings.
func (c *call) view(s registry.Service, versions []registry.Version) serviceView {
	view := serviceView{
		ID: s.ID, Name: s.Name, DisplayName: cmp.Or(s.DisplayName, s.Name), CurrentUserPermission: access.Viewer,
		Contacts: listOr(s.Contacts), Links: listOr(s.Links),
	}
	own := s.Tenant == c.caller.Tenant
	if own {
		view.CurrentUserPermission = c.caller.Role
	}
	if first, ok := registry.Latest(versions); ok { // clients take the first definition
		versions = append([]registry.Version{first}, without(versions, first.ID)...)
	}
	for _, v := range versions {
		endpoint := c.endpoint(s, v.Version)
		d := definitionView{
			ID: v.ID, Version: v.Version, Name: s.Name, Context: s.Tenant, Description: s.Description, Summary: s.Summary, Type: managedType,
			Lifecycle: lifecycle(s.Publication), CreatedAt: formatTime(v.CreatedAt), GatewayEndpoint: endpoint, ProductionEndpoint: endpoint,
			PricingPlans: []any{}, Configurations: []resource{}, ActiveRevision: v.Active,
		}
		if own {
			environment := v.Environment
			if environment == nil {
				environment = map[string]string{}
			}
			d.RuntimeConfiguration = &runtimeView{pythonRuntime, environment, v.ApplyProviderTokens}
			d.Source = &sourceView{"file"}
			d.Configurations = []resource{
				{Type: "cpu", Amount: cmp.Or(v.MilliCPU, defaultMilliCPU), Unit: "m"},
				{Type: "memory", Amount: cmp.Or(v.MemoryMB, defaultMemoryMB), Unit: "M"}, {Type: "gpu", Accelerator: "NONE"},
			}
		}
		view.ServiceDefinitions = append(view.ServiceDefinitions, d)
	}
	return view
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
