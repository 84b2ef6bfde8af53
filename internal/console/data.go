package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// The documents of the platform API, as far as the pages show them.

type person struct {
	ID        string `json:"id"`
	Username  string `json:"username"`
	Firstname string `json:"firstname"`
	Lastname  string `json:"lastname"`
}

type account struct {
	ID             string `json:"id"`
	DisplayName    string `json:"displayName"`
	Role           string `json:"role"`
	IsOrganization bool   `json:"isOrganization"`
}

type service struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	DisplayName string       `json:"displayName"`
	Lifecycle   string       `json:"lifecycle"`
	Permission  string       `json:"currentUserPermission"`
	CreatedAt   moment       `json:"createdAt"`
	Versions    []definition `json:"serviceDefinitions"`
}

// title is the name for people.
func (s service) title() string { return cmp.Or(s.DisplayName, s.Name) }

// access names those that may subscribe.
func (s service) access() string {
	switch s.Lifecycle {
	case "PUBLISHED":
		return "everyone"
	case "ACCESSIBLE":
		return "the account"
	default:
		return "members only: it is not published to applications"
	}
}

type definition struct {
	ID             string     `json:"id"`
	Version        string     `json:"version"`
	Description    string     `json:"description"`
	Lifecycle      string     `json:"lifecycle"`
	Endpoint       string     `json:"gatewayEndpoint"`
	CreatedAt      moment     `json:"createdAt"`
	ActiveRevision string     `json:"activeRevision"`
	Resources      []resource `json:"configurations"`
	Runtime        struct {
		Runtime string `json:"runtime"`
	} `json:"runtimeConfiguration"`
}

type resource struct {
	Type   string      `json:"type"`
	Amount json.Number `json:"amount"`
	Unit   string      `json:"unit"`
}

// text is a limit in words.
func (r resource) text() string {
	n, err := r.Amount.Float64()
	switch {
	case err == nil && r.Type == "cpu" && r.Unit == "m":
		return counted(n/1000, "processor")
	case err == nil && r.Type == "memory" && r.Unit == "M":
		return humanize.Ftoa(n) + " MB of memory"
	case err == nil && r.Type == "gpu":
		return counted(n, "GPU")
	default:
		return strings.TrimSpace(r.Type + " " + r.Amount.String() + " " + r.Unit)
	}
}

// counted is a number of things.
func counted(n float64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return humanize.Ftoa(n) + " " + thing + "s"
}

// runs says in words what runs the version.
func (d definition) runs() string {
	switch runtime := d.Runtime.Runtime; runtime {
	case "PYTHON_TEMPLATE":
		return "Python"
	case "GO_TEMPLATE":
		return "Go"
	default:
		return runtime
	}
}

// path is the address of the version at this server, without scheme and host.
func (d definition) path() string {
	_, rest, _ := strings.Cut(d.Endpoint, "://")
	_, path, _ := strings.Cut(rest, "/")
	return "/" + path
}

func (d definition) resources() string {
	var parts []string
	for _, r := range d.Resources {
		if r.Amount != "0" {
			parts = append(parts, r.text())
		}
	}
	return strings.Join(parts, ", ")
}

type revision struct {
	ID         string `json:"id"`
	Definition string `json:"serviceDefinitionId"`
	Number     int    `json:"number"`
	Active     bool   `json:"active"`
	CreatedBy  string `json:"createdBy"`
	Status     string `json:"status"`
	Step       string `json:"step"`
	CreatedAt  moment `json:"createdAt"`
	FinishedAt moment `json:"finishedAt"`
	Validation struct {
		State    string            `json:"state"`
		Summary  string            `json:"summary"`
		Messages []json.RawMessage `json:"messages"`
	} `json:"validationResult"`
}

func (r revision) working() bool { return r.FinishedAt.IsZero() }

type execution struct {
	ID          string   `json:"id"`
	Status      string   `json:"status"`
	Service     string   `json:"serviceId"`
	Definition  string   `json:"serviceDefinitionId"`
	Application string   `json:"applicationId"`
	Tags        []string `json:"tags"`
	CreatedAt   moment   `json:"createdAt"`
	StartedAt   moment   `json:"startedAt"`
	EndedAt     moment   `json:"endedAt"`
	StartedBy   starter  `json:"startedBy"`
}

// starter names the person, the application or the execution that has started an execution.
type starter struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

func (e execution) final() bool {
	return slices.Contains([]string{"SUCCEEDED", "FAILED", "CANCELLED"}, e.Status)
}

// took is how long it has run, or runs so far.
func (e execution) took(now time.Time) time.Duration {
	switch {
	case e.StartedAt.IsZero():
		return 0
	case e.EndedAt.IsZero():
		return now.Sub(e.StartedAt.Time)
	default:
		return e.EndedAt.Sub(e.StartedAt.Time)
	}
}

// short is the end of the id, which tells executions of a day apart.
func (e execution) short() string { return e.ID[max(0, len(e.ID)-12):] }

type executions struct {
	Content []execution `json:"content"`
	Page    int         `json:"page"`
	Pages   int         `json:"totalPages"`
	Total   int         `json:"totalElements"`
}

type secret struct {
	Name        string          `json:"name"`
	Kind        string          `json:"kind"`
	Service     string          `json:"serviceId"`
	Application string          `json:"applicationId"`
	Override    string          `json:"override"`
	Version     int             `json:"version"`
	UsedAt      moment          `json:"usedAt"`
	Newest      secretVersion   `json:"newest"`
	Versions    []secretVersion `json:"versions"`
}

type secretVersion struct {
	Version   int    `json:"version"`
	State     string `json:"state"`
	SetAt     moment `json:"setAt"`
	SetBy     string `json:"setBy"`
	ExpiresAt moment `json:"expiresAt"`
	KeptUntil moment `json:"keptUntil"`
	UsedAt    moment `json:"usedAt"`
	UsedBy    string `json:"usedBy"`
}

type finding struct {
	Status   string `json:"status"`
	Problem  bool   `json:"problem"`
	Name     string `json:"name"`
	Required bool   `json:"required"`
	From     string `json:"from"`
	Version  int    `json:"version"`
}

type application struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	CreatedAt  moment `json:"createdAt"`
	Permission string `json:"currentUserPermission"`
}

type subscription struct {
	ID          string      `json:"id"`
	Application application `json:"application"`
	Service     struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Version  string `json:"version"`
		Endpoint string `json:"gatewayEndpoint"`
	} `json:"service"`
	CreatedAt moment `json:"createdAt"`
}

// accessKey leaves the secret of a key out.
type accessKey struct {
	ID        string `json:"accessKeyId"`
	CreatedAt moment `json:"createdAt"`
	UsedAt    moment `json:"usedAt"`
	ExpiresAt moment `json:"expiresAt"`
}

type member struct {
	SID         string `json:"sid"`
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	Role        string `json:"accessPermissionRole"`
	Pending     bool   `json:"invitationPending"`
}

type pool struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Permission  string `json:"currentUserPermission"`
	CreatedAt   moment `json:"createdAt"`
}

type poolFile struct {
	ID        string `json:"id"`
	Path      string `json:"fullPath"`
	Size      int64  `json:"contentLength"`
	SHA256    string `json:"sha256"`
	Version   int    `json:"version"`
	CreatedAt moment `json:"createdAt"`
}

type auditEntry struct {
	Number int       `json:"number"`
	Time   time.Time `json:"time"`
	Actor  struct {
		Kind string `json:"kind"`
		ID   string `json:"id"`
	} `json:"actor"`
	Action  string            `json:"action"`
	Target  string            `json:"target"`
	Outcome string            `json:"outcome"`
	Details map[string]string `json:"details"`
}

type logLine struct {
	Message  string    `json:"message"`
	Severity string    `json:"severity"`
	Time     time.Time `json:"timestamp"`
}

// Health is the state of the server.
type Health struct {
	// Pending, Running and Slots count executions.
	Pending, Running, Slots int
	Services, Zygotes       int
	DiskFree, DiskSize      uint64
	// Sandbox are the layers that confine executions here, and Missing those that the
	// machine lacks.
	Sandbox, Missing []string
	Started          time.Time
}

// size is a number of bytes for people.
func size(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

// span is a duration for people.
func span(d time.Duration) string {
	switch {
	case d <= 0:
		return "< 1 s"
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// ago is how long ago something was.
func ago(at, now time.Time) string {
	d := now.Sub(at)
	switch {
	case d < -time.Minute:
		return "in " + span(-d)
	case d < 5*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}
