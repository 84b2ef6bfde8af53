package execution

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ID names an execution. It is a UUID that begins with the time and ends with 62
// random bits from the operating system (version 7 of RFC 9562), so it cannot be
// guessed. Ids of one hour lie side by side in an index of any size. The text of
// an id is safe as a file name.
type ID string

// NewID makes a new id.
func NewID() ID { return ID(uuid.Must(uuid.NewV7()).String()) }

// ParseID reads the id a caller gave, in its canonical form of 36 characters;
// upper-case digits are understood.
func ParseID(s string) (ID, error) {
	// The length comes first: uuid also reads the {…} and urn:uuid: forms,
	// and an id has one spelling only.
	if len(s) != 36 {
		return "", fmt.Errorf("an execution id has 36 characters, this one has %d", len(s))
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return "", fmt.Errorf("not an execution id: %w", err)
	}
	return ID(u.String()), nil
}

// String is the canonical text of the id.
func (id ID) String() string { return string(id) }

// Type says what kind of service runs.
type Type string

// The types of the Service API.
const (
	Managed  Type = "MANAGED"
	Workflow Type = "WORKFLOW"
)

// Valid reports whether t is one of the types.
func (t Type) Valid() bool { return t == Managed || t == Workflow }

// An Execution is one run of a service.
type Execution struct {
	ID        ID
	ServiceID string
	// ServiceRevision pins the revision that runs: a change of the service
	// does not affect executions that were accepted before it.
	ServiceRevision string
	Status          Status
	Type            Type

	CreatedAt time.Time
	StartedAt time.Time // zero until RUNNING
	EndedAt   time.Time // zero until final

	Tags                []string
	ServiceDefinitionID string // empty: none
	ApplicationID       string // empty: none
	// TenantID is the tenant that has started it, PersonID the member of it that has,
	// and ParentID the execution that has; empty: none. None is a part of the document.
	TenantID, PersonID string
	ParentID           ID

	// CancelRequested is set when a caller cancels a running execution; it
	// stays set in any final state.
	CancelRequested bool
	// Problem is why a failed execution failed.
	Problem *Problem
	// Result is the result manifest of the runner: a JSON document that only
	// the runner and the API read. The result itself is in files.
	Result json.RawMessage
}

// timeLayout is the form of a time in the Service API, always in UTC.
const timeLayout = "2006-01-02 15:04:05"

// wire is the JSON form of an execution. Every member is always present;
// unknown ones are null.
type wire struct {
	ID                  ID       `json:"id"`
	CreatedAt           *string  `json:"createdAt"`
	StartedAt           *string  `json:"startedAt"`
	EndedAt             *string  `json:"endedAt"`
	Status              Status   `json:"status"`
	Type                Type     `json:"type"`
	ServiceID           string   `json:"serviceId"`
	ServiceDefinitionID *string  `json:"serviceDefinitionId"`
	ApplicationID       *string  `json:"applicationId"`
	Tags                []string `json:"tags"`
}

// MarshalJSON writes the document of the Service API. The revision, the
// problem and the result are not part of it: other calls return them.
func (e Execution) MarshalJSON() ([]byte, error) {
	tags := e.Tags
	if tags == nil {
		tags = []string{}
	}
	return json.Marshal(wire{
		ID:                  e.ID,
		CreatedAt:           formatTime(e.CreatedAt),
		StartedAt:           formatTime(e.StartedAt),
		EndedAt:             formatTime(e.EndedAt),
		Status:              e.Status,
		Type:                e.Type,
		ServiceID:           e.ServiceID,
		ServiceDefinitionID: optional(e.ServiceDefinitionID),
		ApplicationID:       optional(e.ApplicationID),
		Tags:                tags,
	})
}

// UnmarshalJSON reads the document of the Service API. A state or type that
// this version does not know becomes UNKNOWN and MANAGED, so that a newer
// server does not break an older client.
func (e *Execution) UnmarshalJSON(data []byte) error {
	var w wire
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read an execution: %w", err)
	}
	read := Execution{ID: w.ID, Status: w.Status, Type: w.Type, ServiceID: w.ServiceID, Tags: w.Tags}
	for _, t := range []struct {
		text *string
		into *time.Time
	}{{w.CreatedAt, &read.CreatedAt}, {w.StartedAt, &read.StartedAt}, {w.EndedAt, &read.EndedAt}} {
		if t.text == nil {
			continue
		}
		parsed, err := time.Parse(timeLayout, *t.text)
		if err != nil {
			return fmt.Errorf("read an execution: %w", err)
		}
		*t.into = parsed
	}
	if w.ServiceDefinitionID != nil {
		read.ServiceDefinitionID = *w.ServiceDefinitionID
	}
	if w.ApplicationID != nil {
		read.ApplicationID = *w.ApplicationID
	}
	if !read.Status.Valid() {
		read.Status = Unknown
	}
	if !read.Type.Valid() {
		read.Type = Managed
	}
	*e = read
	return nil
}

func formatTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(timeLayout)
	return &text
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
