package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

// engineService is what the hub needs of a service of the engine.
type engineService interface {
	List(ctx context.Context, q store.ListQuery) (store.Page, error)
	Cancel(ctx context.Context, id execution.ID) (execution.Execution, error)
}

// deploy takes an archive for a version of a service, both of which it makes if need
// be: POST /deployments?name=NAME&version=1.0.0 with the archive as the body. Nothing
// is made of an archive that is refused.
func (h *Hub) deploy(ctx context.Context, c *call) error {
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/zip" {
		return problem(http.StatusUnsupportedMediaType, "The body must be an archive: application/zip.")
	}
	query := c.r.URL.Query()
	version := cmp.Or(query.Get("version"), registry.DefaultVersion)
	name, display, err := serviceNames(query.Get("name"))
	if err == nil {
		err = registry.CheckVersion(version)
	}
	if err != nil {
		return err
	}
	key := "sources/" + uuid.NewString()
	info, err := h.blobs.Put(ctx, key, &patientReader{c.r.Body, http.NewResponseController(c.w)}, blob.PutOptions{
		Limit: maxArchive, SHA256: query.Get("sha256"),
	})
	if errors.Is(err, blob.ErrChecksum) {
		return problem(http.StatusBadRequest, "The archive does not have the checksum that was announced.")
	}
	if err != nil {
		return uploadError(err)
	}
	if err := h.check(ctx, key); err != nil {
		return errors.Join(err, h.blobs.Delete(ctx, key))
	}
	s, v, err := h.versionFor(ctx, c.caller.Tenant, name, display, version)
	if err == nil {
		v, err = h.store.ChangeVersion(ctx, v.ID, func(v *registry.Version) error { v.Source = key; return nil })
	}
	var r registry.Revision
	if err == nil {
		r, err = h.begin(ctx, v.ID, c.caller.ID)
	}
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, map[string]any{
		"serviceId": s.ID, "serviceDefinitionId": v.ID, "name": s.Name, "version": v.Version, "sha256": info.SHA256,
		"gatewayEndpoint": c.endpoint(s, v.Version), "revision": revisionOf(r, v),
	})
}

// versionFor finds a version of a service, and makes those that are missing.
func (h *Hub) versionFor(ctx context.Context, tenant, name, display, version string) (registry.Service, registry.Version, error) {
	s, err := h.store.ServiceNamed(ctx, tenant, name)
	if errors.Is(err, registry.ErrNotFound) {
		return h.newService(ctx, tenant, name, version, registry.Texts{DisplayName: display}, registry.Settings{})
	}
	if err != nil {
		return s, registry.Version{}, err
	}
	versions, err := h.store.Versions(ctx, s.ID)
	if err != nil {
		return s, registry.Version{}, err
	}
	if v, ok := pick(versions, version); ok {
		return s, v, nil
	}
	v := registry.Version{ID: uuid.NewString(), Service: s.ID, Version: version}
	return s, v, h.store.AddVersion(ctx, v)
}

// jobBody starts a job.
type jobBody struct {
	ServiceID  string                     `json:"serviceId"`
	Input      map[string]json.RawMessage `json:"input"`
	Tags       []string                   `json:"tags"`
	StoreInput bool                       `json:"storeInput"`
}

// startJob starts an execution of a service of the caller's tenant.
func (h *Hub) startJob(ctx context.Context, c *call) error {
	var body jobBody
	if err := c.read(&body); err != nil {
		return err
	}
	s, err := h.owned(ctx, c, body.ServiceID)
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
	if body.Input == nil {
		body.Input = map[string]json.RawMessage{}
	}
	if len(body.Tags) > 0 {
		tags, err := json.Marshal(body.Tags)
		if err != nil {
			return err
		}
		body.Input[signature.TagsKey] = tags
	}
	request, err := json.Marshal(body.Input)
	for _, value := range body.Input { // secrets may be among them
		clear(value)
	}
	if err != nil {
		return problem(http.StatusBadRequest, "input is not a JSON object.")
	}
	accepted, err := h.scope(s, v).Submit(ctx, engine.Submission{Body: request, IdempotencyKey: c.r.Header.Get("Idempotency-Key")})
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", catalog+"/service-jobs/"+accepted.Execution.ID.String())
	return c.json(http.StatusCreated, accepted.Execution)
}

func (h *Hub) scope(s registry.Service, v registry.Version) *scoped {
	return &scoped{Service: h.Server.Engine().Service(v.ID), service: s.ID, version: v.ID}
}

// pageView is a page of a list, as published clients need it.
type pageView struct {
	Content          []execution.Execution `json:"content"`
	Page             int                   `json:"page"`
	Size             int                   `json:"size"`
	TotalElements    int                   `json:"totalElements"`
	TotalPages       int                   `json:"totalPages"`
	First            bool                  `json:"first"`
	Last             bool                  `json:"last"`
	Number           int                   `json:"number"`
	NumberOfElements int                   `json:"numberOfElements"`
	Empty            bool                  `json:"empty"`
}

// listJobs lists what the tenant has started itself.
func (h *Hub) listJobs(ctx context.Context, c *call) error { return h.list(ctx, c, "") }

// listExecutions lists what the tenant and its applications have started.
func (h *Hub) listExecutions(ctx context.Context, c *call) error {
	return h.list(ctx, c, cmp.Or(c.r.URL.Query().Get("applicationId"), "*"))
}

func (h *Hub) list(ctx context.Context, c *call, application string) error {
	const most = 200
	number, size, err := c.page(most)
	if err != nil {
		return err
	}
	query := c.r.URL.Query()
	q := store.CallerQuery{
		Tenant: c.caller.Tenant, Application: application, Execution: callerOf(c.caller).Execution,
		Tag: query.Get("tags"), Offset: number * size, Limit: size,
	}
	if id := query.Get("serviceId"); id != "" {
		versions, err := h.store.Versions(ctx, id)
		if err != nil {
			return err
		}
		q.Services = []string{}
		for _, v := range versions {
			q.Services = append(q.Services, v.ID)
		}
	}
	list, total, err := h.store.ListOfCaller(ctx, q)
	if err != nil {
		return err
	}
	services := map[string]string{} // by version
	for i := range list {
		list[i] = h.shownIn(ctx, services, list[i])
	}
	pages := (total + size - 1) / size
	return c.json(http.StatusOK, pageView{
		Content: append([]execution.Execution{}, list...), Page: number, Size: size, TotalElements: total, TotalPages: pages,
		First: number == 0, Last: number >= pages-1, Number: number, NumberOfElements: len(list), Empty: len(list) == 0,
	})
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

// execution finds an execution that the caller's tenant has started, and its service
// as the starter sees it.
func (h *Hub) execution(ctx context.Context, c *call) (context.Context, execution.Execution, *scoped, error) {
	id, err := execution.ParseID(c.r.PathValue("id"))
	if err != nil {
		return ctx, execution.Execution{}, nil, errNotFound
	}
	e, err := h.store.Get(ctx, id)
	if err == nil && (c.caller.Tenant == "" || e.TenantID != c.caller.Tenant) {
		err = store.ErrNotFound
	}
	if caller := callerOf(c.caller); err == nil && caller.Execution != "" && e.ParentID != caller.Execution {
		err = store.ErrNotFound
	}
	if err != nil {
		return ctx, execution.Execution{}, nil, err
	}
	// The members of a tenant see what its applications have started.
	if e.ApplicationID != "" {
		acting := c.caller
		acting.Kind, acting.ID = access.Application, e.ApplicationID
		ctx = access.With(ctx, acting)
	}
	version := e.ServiceID
	e = h.shownIn(ctx, map[string]string{}, e)
	return ctx, e, &scoped{Service: h.Server.Engine().Service(version), service: e.ServiceID, version: version}, nil
}

func (h *Hub) getExecution(ctx context.Context, c *call) error {
	_, e, _, err := h.execution(ctx, c)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, e)
}

func (h *Hub) cancelExecution(ctx context.Context, c *call) error {
	ctx, e, s, err := h.execution(ctx, c)
	if err == nil {
		_, err = s.Cancel(ctx, e.ID)
	}
	if err != nil {
		return err
	}
	return c.noContent()
}

// executionResult answers with the members of a result, and links to its files; with
// 204 while there is none.
func (h *Hub) executionResult(ctx context.Context, c *call) error {
	ctx, e, s, err := h.execution(ctx, c)
	if err != nil {
		return err
	}
	if !e.Status.Final() {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		return c.noContent()
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
		links[file.Name] = map[string]string{"href": base + "/results/" + file.Name}
	}
	for name, value := range map[string]any{"_links": links, "_embedded": map[string]any{"status": e}} {
		if document[name], err = json.Marshal(value); err != nil {
			return err
		}
	}
	return c.json(http.StatusOK, document)
}

// executionFile answers with a result file. Published clients ask for "**" only; the
// answer lists the names.
func (h *Hub) executionFile(ctx context.Context, c *call) error {
	ctx, e, s, err := h.execution(ctx, c)
	if err != nil {
		return err
	}
	file, info, err := s.OpenFile(ctx, e.ID, c.r.PathValue("file"))
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
	c.wrote = true
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Content-Length", strconv.FormatInt(info.Size, 10))
	if _, err := io.Copy(&patientWriter{c.w, http.NewResponseController(c.w)}, file); err != nil {
		panic(http.ErrAbortHandler) //nolint:forbidigo // half a file must not look whole
	}
	return nil
}

// executionLog answers with an object: published clients fail on a list. They read its
// first and last entries; entries are all.
func (h *Hub) executionLog(ctx context.Context, c *call) error {
	ctx, e, s, err := h.execution(ctx, c)
	if err != nil {
		return err
	}
	limit := maxPage
	if text := c.r.URL.Query().Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > 10*maxPage {
			return problem(http.StatusBadRequest, fmt.Sprintf("limit must be a number from 1 to %d.", 10*maxPage))
		}
	}
	lines, err := s.ReadLog(ctx, e.ID, 0, limit)
	if err != nil {
		return err
	}
	entries := make([]execution.LogEntry, len(lines))
	for i, line := range lines {
		entries[i] = line.Entry
	}
	document := map[string]any{"empty": len(entries) == 0, "entries": entries, "first": nil, "last": nil}
	if len(entries) > 0 {
		document["first"], document["last"] = entries[0], entries[len(entries)-1]
	}
	return c.json(http.StatusOK, document)
}
