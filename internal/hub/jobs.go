package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/store"
)

// engineService is what the hub needs of a service of the engine.
type engineService interface {
	List(ctx context.Context, q store.ListQuery) (store.Page, error)
	Cancel(ctx context.Context, id execution.ID) (execution.Execution, error)
}

func (h *Hub) scope(s registry.Service, v registry.Version) *scoped {
	return &scoped{Service: h.Server.Engine().Service(v.ID), service: s.ID, version: v.ID, repeats: h.repeats}
}

// JobsQuery selects jobs and executions.
type JobsQuery struct {
	platformapi.PageQuery
	ServiceID     string   `query:"serviceId" doc:"Executions of this service only."`
	Tags          []string `query:"tags,explode" maxItems:"100" doc:"Executions with one of these tags only."`
	IDs           []string `query:"ids,explode" maxItems:"100" doc:"Executions with one of these ids only; * stands for any text."`
	CreatedAfter  string   `query:"createdAfter" doc:"Executions made after this time only: as in RFC 3339, or milliseconds since 1970."`
	CreatedBefore string   `query:"createdBefore" doc:"Executions made before this time only."`
	Status        []string `query:"status,explode" maxItems:"10" doc:"Executions in one of these states only: PENDING, RUNNING, SUCCEEDED, FAILED or CANCELLED."`
	CountTo       int      `query:"countTo" minimum:"0" maximum:"1000000000" doc:"Count the executions up to this number only, which is faster where there are many. Absent: all."`
	Sort          string   `query:"sort" doc:"createdAt, startedAt, endedAt, status or serviceId; then a comma, and asc or desc. Absent: createdAt,desc."`
}

type executionsQuery struct {
	JobsQuery
	ApplicationID string `query:"applicationId" doc:"Executions of this application only."`
}

type executionPage = platformapi.Body[platformapi.Page[listedExecution]]

// listJobs lists what the tenant has started itself.
func (h *Hub) listJobs(ctx context.Context, in *JobsQuery) (*executionPage, error) {
	return h.list(ctx, in, "")
}

// listExecutions lists what the tenant and its applications have started.
func (h *Hub) listExecutions(ctx context.Context, in *executionsQuery) (*executionPage, error) {
	return h.list(ctx, &in.JobsQuery, cmp.Or(in.ApplicationID, "*"))
}

// orders are the words of sort.
var orders = map[string]store.Order{
	"": store.ByCreation, "createdAt": store.ByCreation, "startedAt": store.ByStart, "endedAt": store.ByEnd, "status": store.ByStatus, "serviceId": store.ByService,
}

// moment reads a time of a query.
func moment(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if milliseconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(milliseconds), nil
	}
	for _, layout := range []string{time.RFC3339Nano, timeLayout} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, problem(http.StatusBadRequest, name+" must be a time, such as 2026-01-31T23:59:59Z, or milliseconds since 1970.")
}

// query is the query of a list for the store.
func (q *JobsQuery) query(caller access.Principal, application string) (store.CallerQuery, error) {
	offset, limit := q.Bounds()
	query := store.CallerQuery{
		Tenant: caller.Tenant, Application: application, Execution: callerOf(caller).Execution, Tags: q.Tags, IDs: q.IDs, Statuses: q.Status, CountTo: q.CountTo, Offset: offset, Limit: limit,
	}
	by, direction, _ := strings.Cut(q.Sort, ",")
	order, known := orders[by]
	if !known || direction != "" && direction != "asc" && direction != "desc" {
		return query, problem(http.StatusBadRequest, "sort must be createdAt, startedAt, endedAt, status or serviceId; then a comma, and asc or desc.")
	}
	query.Order, query.Ascending = order, direction == "asc" || direction == "" && by != ""
	var err error
	if query.CreatedAfter, err = moment("createdAfter", q.CreatedAfter); err == nil {
		query.CreatedBefore, err = moment("createdBefore", q.CreatedBefore)
	}
	return query, err
}

func (h *Hub) list(ctx context.Context, in *JobsQuery, application string) (*executionPage, error) {
	q, err := in.query(access.From(ctx), application)
	if err != nil {
		return nil, err
	}
	if in.ServiceID != "" {
		versions, err := h.store.Versions(ctx, in.ServiceID)
		if err != nil {
			return nil, err
		}
		q.Services = []string{}
		for _, v := range versions {
			q.Services = append(q.Services, v.ID)
		}
	}
	list, total, err := h.store.ListOfCaller(ctx, q)
	if err != nil {
		return nil, err
	}
	services := map[string]string{} // by version
	shown := make([]listedExecution, len(list))
	for i := range list {
		shown[i] = listedExecution{h.shownIn(ctx, services, list[i])}
	}
	return platformapi.PageOf(&in.PageQuery, shown, total), nil
}

// shownIn is an execution as the platform shows it. The service of one that was deleted
// is not known any more.
func (h *Hub) shownIn(ctx context.Context, services map[string]string, e execution.Execution) execution.Execution {
	version := e.ServiceID
	service, known := services[version]
	if !known {
		if v, err := h.store.Version(ctx, version); err == nil {
			service = v.Service
		}
		services[version] = service
	}
	e.ServiceDefinitionID = version
	e.ServiceID = cmp.Or(service, version)
	return e
}

// ByExecution names an execution in the address.
type ByExecution struct {
	ID string `path:"id" maxLength:"64" doc:"The id of the execution."`
}

// executionView is an execution in the description: it encodes itself.
type executionView struct {
	ID                  string   `json:"id"`
	CreatedAt           *string  `json:"createdAt" doc:"UTC, as 2026-01-31 23:59:59."`
	StartedAt           *string  `json:"startedAt"`
	EndedAt             *string  `json:"endedAt"`
	Status              string   `json:"status" enum:"UNKNOWN,PENDING,RUNNING,SUCCEEDED,FAILED,CANCELLED"`
	Type                string   `json:"type" enum:"MANAGED,WORKFLOW"`
	ServiceID           string   `json:"serviceId"`
	ServiceDefinitionID *string  `json:"serviceDefinitionId" doc:"The id of the version."`
	ApplicationID       *string  `json:"applicationId" doc:"The application that has started it; null: a member of the account."`
	Tags                []string `json:"tags"`
}

// jobView is a job in the description.
type jobView struct {
	ID                  string   `json:"id"`
	CreatedAt           *string  `json:"createdAt" doc:"UTC, as 2026-01-31 23:59:59."`
	StartedAt           *string  `json:"startedAt"`
	EndedAt             *string  `json:"endedAt"`
	Status              string   `json:"status" enum:"UNKNOWN,PENDING,RUNNING,SUCCEEDED,FAILED,CANCELLED"`
	Type                string   `json:"type" enum:"MANAGED,WORKFLOW"`
	ServiceID           string   `json:"serviceId"`
	ServiceDefinitionID *string  `json:"serviceDefinitionId" doc:"The id of the version."`
	ApplicationID       *string  `json:"applicationId" doc:"The application that has started it; null: a member of the account."`
	Tags                []string `json:"tags"`
	Input               string   `json:"input,omitempty" doc:"The input as JSON, without secrets, if the job has kept it."`
}

// execution finds an execution that the caller's tenant has started, and its service
// as the starter sees it.
func (h *Hub) execution(ctx context.Context, in *ByExecution) (context.Context, execution.Execution, *scoped, error) {
	caller := access.From(ctx)
	id, err := execution.ParseID(in.ID)
	if err != nil {
		return ctx, execution.Execution{}, nil, errNotFound
	}
	e, err := h.store.Get(ctx, id)
	if err == nil && (caller.Tenant == "" || e.TenantID != caller.Tenant) {
		err = store.ErrNotFound
	}
	if started := callerOf(caller); err == nil && started.Execution != "" && e.ParentID != started.Execution {
		err = store.ErrNotFound
	}
	if err != nil {
		return ctx, execution.Execution{}, nil, err
	}
	// The members of a tenant see what its applications have started.
	if e.ApplicationID != "" {
		acting := caller
		acting.Kind, acting.ID = access.Application, e.ApplicationID
		ctx = access.With(ctx, acting)
	}
	version := e.ServiceID
	e = h.shownIn(ctx, map[string]string{}, e)
	return ctx, e, &scoped{Service: h.Server.Engine().Service(version), service: e.ServiceID, version: version, repeats: h.repeats}, nil
}

func (h *Hub) getExecution(ctx context.Context, in *ByExecution) (*platformapi.Body[execution.Execution], error) {
	_, e, _, err := h.execution(ctx, in)
	return &platformapi.Body[execution.Execution]{Body: e}, err
}

func (h *Hub) cancelExecution(ctx context.Context, in *ByExecution) (*none, error) {
	ctx, e, s, err := h.execution(ctx, in)
	if err == nil {
		_, err = s.Cancel(ctx, e.ID)
	}
	return nil, err
}

// executionResult answers with the members of a result, and links to its files; with
// 204 while there is none.
func (h *Hub) executionResult(ctx context.Context, in *ByExecution, w http.ResponseWriter, _ *http.Request) error {
	ctx, e, s, err := h.execution(ctx, in)
	if err != nil {
		return err
	}
	if !e.Status.Final() {
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	result, err := s.Result(ctx, e.ID)
	if err != nil {
		return err
	}
	document := map[string]json.RawMessage{}
	if result.Kind == engine.Object && result.Value != nil {
		if err := json.Unmarshal(result.Value, &document); err != nil {
			return err
		}
	}
	if e.Problem != nil {
		text, err := json.Marshal(e.Problem)
		if err == nil {
			err = json.Unmarshal(text, &document)
		}
		if err != nil {
			return err
		}
	}
	base := catalog + "/service-executions/" + e.ID.String()
	links := map[string]any{"status": map[string]string{"href": base}}
	for _, file := range result.Files {
		name, path := httpapi.FileLink(file.Name)
		links[name] = map[string]string{"href": base + "/results/" + path}
	}
	for name, value := range map[string]any{"_links": links, "_embedded": map[string]any{"status": e}} {
		if document[name], err = json.Marshal(value); err != nil {
			return err
		}
	}
	return platformapi.WriteJSON(w, http.StatusOK, document)
}

type fileInput struct {
	ByExecution
	File string `path:"file" doc:"The name of the file, which may have slashes."`
}

// executionFile answers with a result file. Published clients ask for "**" only; the
// answer lists the names.
func (h *Hub) executionFile(ctx context.Context, in *fileInput, w http.ResponseWriter, _ *http.Request) error {
	ctx, e, s, err := h.execution(ctx, &in.ByExecution)
	if err != nil {
		return err
	}
	file, info, err := s.OpenFile(ctx, e.ID, in.File)
	if errors.Is(err, store.ErrNotFound) {
		names := []string{}
		if result, err := s.Result(ctx, e.ID); err == nil {
			for _, f := range result.Files {
				names = append(names, f.Name)
			}
		}
		return problem(http.StatusNotFound, fmt.Sprintf("The result has no file of this name; it has %q.", names[:min(len(names), 100)]))
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size, 10))
	return platformapi.Copy(w, file)
}

type logQuery struct {
	ByExecution
	Limit int  `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"How many entries the answer has at most."`
	Raw   bool `query:"raw" doc:"Makes no difference here."`
}

// executionLogView is the log of an execution. Published clients read its first and
// last entries, and fail on a list.
type executionLogView struct {
	First   *execution.LogEntry  `json:"first"`
	Last    *execution.LogEntry  `json:"last"`
	Empty   bool                 `json:"empty"`
	Entries []execution.LogEntry `json:"entries"`
}

func (h *Hub) executionLog(ctx context.Context, in *logQuery) (*platformapi.Body[executionLogView], error) {
	ctx, e, s, err := h.execution(ctx, &in.ByExecution)
	if err != nil {
		return nil, err
	}
	lines, err := s.ReadLog(ctx, e.ID, 0, in.Limit)
	if err != nil {
		return nil, err
	}
	log := executionLogView{Empty: len(lines) == 0, Entries: make([]execution.LogEntry, len(lines))}
	for i, line := range lines {
		log.Entries[i] = line.Entry
	}
	if len(lines) > 0 {
		log.First, log.Last = &log.Entries[0], &log.Entries[len(lines)-1]
	}
	return &platformapi.Body[executionLogView]{Body: log}, nil
}
