package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
)

// buildView is how a build stands.
type buildView struct {
	Status           registry.State  `json:"status"`
	Step             registry.Step   `json:"step"`
	CreatedAt        *string         `json:"createdAt"`
	FinishedAt       *string         `json:"finishedAt"`
	ValidationResult *validationView `json:"validationResult"`
}

type validationView struct {
	_        struct{} `nullable:"true"`
	State    string   `json:"state" enum:"SUCCESS,ERROR"`
	Summary  string   `json:"summary"`
	Messages []string `json:"messages"`
}

func buildOf(r registry.Revision) buildView {
	view := buildView{Status: r.State, Step: r.Step, CreatedAt: formatTime(r.CreatedAt), FinishedAt: formatTime(r.FinishedAt)}
	if r.State == registry.Working {
		return view
	}
	view.ValidationResult = &validationView{State: "SUCCESS", Summary: r.Outcome.Summary, Messages: append([]string{}, r.Outcome.Messages...)}
	if r.State == registry.Failed {
		view.ValidationResult.State = "ERROR"
	}
	return view
}

// revisionView is a revision in the platform API. The published one has none.
type revisionView struct {
	ID        string `json:"id"`
	VersionID string `json:"serviceDefinitionId"`
	Number    int    `json:"number"`
	Active    bool   `json:"active"`
	CreatedBy string `json:"createdBy,omitempty"`
	buildView
}

// newest is the newest revision of the current version of a service.
func (h *Hub) newest(ctx context.Context, id string) (registry.Revision, error) {
	v, err := h.ownCurrent(ctx, id)
	if err != nil {
		return registry.Revision{}, err
	}
	return h.newestOf(ctx, v)
}

// newestOf is the newest revision of a version.
func (h *Hub) newestOf(ctx context.Context, v registry.Version) (registry.Revision, error) {
	list, err := h.store.Revisions(ctx, v.ID, registry.Page{Limit: 1})
	if err == nil && len(list) == 0 {
		err = problem(http.StatusNotFound, "The service was not built yet.")
	}
	if err != nil {
		return registry.Revision{}, err
	}
	return list[0], nil
}

func (h *Hub) buildStatus(ctx context.Context, in *ByID) (*platformapi.Body[buildView], error) {
	r, err := h.newest(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &platformapi.Body[buildView]{Body: buildOf(r)}, nil
}

func (h *Hub) buildLogs(ctx context.Context, in *ByID, w http.ResponseWriter, r *http.Request) error {
	newest, err := h.newest(ctx, in.ID)
	if err != nil {
		return err
	}
	return h.writeBuildLog(ctx, w, r, newest.ID)
}

// revision finds a revision of a service of the caller's tenant.
func (h *Hub) revision(ctx context.Context, in *ByRevision) (registry.Revision, registry.Version, error) {
	s, err := h.own(ctx, in.ID)
	if err != nil {
		return registry.Revision{}, registry.Version{}, err
	}
	r, err := h.store.Revision(ctx, in.Revision)
	if err != nil {
		return r, registry.Version{}, err
	}
	v, err := h.store.Version(ctx, r.Version)
	if err == nil && v.Service != s.ID {
		err = registry.ErrNotFound
	}
	return r, v, err
}

func revisionOf(r registry.Revision, v registry.Version) revisionView {
	return revisionView{ID: r.ID, VersionID: r.Version, Number: r.Number, Active: v.Active == r.ID, CreatedBy: r.By, buildView: buildOf(r)}
}

func (h *Hub) getRevision(ctx context.Context, in *ByRevision) (*platformapi.Body[revisionView], error) {
	r, v, err := h.revision(ctx, in)
	if err != nil {
		return nil, err
	}
	return &platformapi.Body[revisionView]{Body: revisionOf(r, v)}, nil
}

func (h *Hub) revisionLog(ctx context.Context, in *ByRevision, w http.ResponseWriter, r *http.Request) error {
	found, _, err := h.revision(ctx, in)
	if err != nil {
		return err
	}
	return h.writeBuildLog(ctx, w, r, found.ID)
}

// activate makes a revision the active one: the way back to an older one, too.
func (h *Hub) activate(ctx context.Context, in *ByRevision) (*platformapi.Body[revisionView], error) {
	r, _, err := h.revision(ctx, in)
	if err != nil {
		return nil, err
	}
	v, err := h.store.Activate(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	h.activated(ctx, v.ID)
	return &platformapi.Body[revisionView]{Body: revisionOf(r, v)}, nil
}

func (h *Hub) listVersions(ctx context.Context, in *PageByID) (*platformapi.List[definitionView], error) {
	s, err := h.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	versions, err := h.store.Versions(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	view, err := h.view(ctx, s, versions)
	if err != nil {
		return nil, err
	}
	return platformapi.ListOf(&in.PageQuery, view.ServiceDefinitions), nil
}

type revisionsQuery struct {
	PageByID
	Version string `query:"version" doc:"The version. Absent: the highest one that can be called."`
}

func (h *Hub) listRevisions(ctx context.Context, in *revisionsQuery) (*platformapi.List[revisionView], error) {
	s, err := h.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	versions, err := h.store.Versions(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	name := cmp.Or(in.Version, latest)
	v, ok := pick(versions, name)
	if !ok && name == latest && len(versions) > 0 {
		v, ok = versions[0], true
	}
	if !ok {
		return nil, registry.ErrNotFound
	}
	list, err := h.store.Revisions(ctx, v.ID, registry.Page{})
	if err != nil {
		return nil, err
	}
	views := []revisionView{}
	for _, r := range list {
		views = append(views, revisionOf(r, v))
	}
	return platformapi.ListOf(&in.PageQuery, views), nil
}

// The log of a build, for the description.
const buildLogText = "All lines that there are; or, where Accept names text/event-stream, an event \"log\" for each line until the build ends, and an event \"end\" with its status."

func buildLogContent() []platformapi.Content {
	return append(platformapi.JSONOf[[]logView](), platformapi.Content{Type: "text/event-stream"})
}

// logView is a line of a build log.
type logView struct {
	_         struct{} `nullable:"true"`
	Message   string   `json:"message"`
	Severity  string   `json:"severity"`
	Timestamp string   `json:"timestamp"`
}

func logOf(l registry.LogLine) logView {
	return logView{Message: l.Message, Severity: l.Severity, Timestamp: l.Time.UTC().Format(time.RFC3339Nano)}
}

const maxBuildLog = 20_000

// writeBuildLog answers with the log of a build: all that there is, or as events
// until the build ends.
func (h *Hub) writeBuildLog(ctx context.Context, w http.ResponseWriter, r *http.Request, revision string) error {
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return h.streamBuildLog(ctx, w, revision)
	}
	lines, err := h.store.BuildLog(ctx, revision, 0, maxBuildLog)
	if err != nil {
		return err
	}
	views := []logView{}
	for _, line := range lines {
		views = append(views, logOf(line))
	}
	return platformapi.WriteJSON(w, http.StatusOK, views)
}

// keepAlive is how often a stream without events says that it is alive.
const keepAlive = 15 * time.Second

// streamBuildLog sends each line as an event "log", and "end" with the status.
func (h *Hub) streamBuildLog(ctx context.Context, w http.ResponseWriter, revision string) error {
	control, out := http.NewResponseController(w), platformapi.PatientWriter(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	send := func(format string, args ...any) bool {
		_, err := fmt.Fprintf(out, format, args...)
		return err == nil
	}
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	var last int64
	for {
		changed := h.builds.changes() // before it looks
		r, err := h.store.Revision(ctx, revision)
		if err != nil {
			return nil
		}
		lines, err := h.store.BuildLog(ctx, revision, last, maxBuildLog)
		if err != nil {
			return nil
		}
		for _, line := range lines {
			text, err := json.Marshal(logOf(line))
			if err != nil || !send("event: log\nid: %d\ndata: %s\n\n", line.Sequence, text) {
				return nil
			}
			last = line.Sequence
		}
		if r.State != registry.Working {
			text, err := json.Marshal(buildOf(r))
			if err == nil {
				send("event: end\ndata: %s\n\n", text)
			}
			return nil
		}
		if control.Flush() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-ticker.C:
			if !send(": alive\n\n") {
				return nil
			}
		case <-ctx.Done():
			return nil
		case <-h.draining.Done():
			return nil
		}
	}
}
