package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

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
	State    string   `json:"state"`
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
func (h *Hub) newest(ctx context.Context, c *call) (registry.Revision, error) {
	v, err := h.ownCurrent(ctx, c)
	if err != nil {
		return registry.Revision{}, err
	}
	list, err := h.store.Revisions(ctx, v.ID, registry.Page{Limit: 1})
	if err == nil && len(list) == 0 {
		err = problem(http.StatusNotFound, "The service was not built yet.")
	}
	if err != nil {
		return registry.Revision{}, err
	}
	return list[0], nil
}

func (h *Hub) buildStatus(ctx context.Context, c *call) error {
	r, err := h.newest(ctx, c)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, buildOf(r))
}

func (h *Hub) buildLogs(ctx context.Context, c *call) error {
	r, err := h.newest(ctx, c)
	if err != nil {
		return err
	}
	return h.writeBuildLog(ctx, c, r.ID)
}

// revision finds the revision, of a service of the caller's tenant, that the request
// names.
func (h *Hub) revision(ctx context.Context, c *call) (registry.Revision, registry.Version, error) {
	s, err := h.own(ctx, c)
	if err != nil {
		return registry.Revision{}, registry.Version{}, err
	}
	r, err := h.store.Revision(ctx, c.r.PathValue("revision"))
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

func (h *Hub) getRevision(ctx context.Context, c *call) error {
	r, v, err := h.revision(ctx, c)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, revisionOf(r, v))
}

func (h *Hub) revisionLog(ctx context.Context, c *call) error {
	r, _, err := h.revision(ctx, c)
	if err != nil {
		return err
	}
	return h.writeBuildLog(ctx, c, r.ID)
}

// activate makes a revision the active one: the way back to an older one, too.
func (h *Hub) activate(ctx context.Context, c *call) error {
	r, _, err := h.revision(ctx, c)
	if err != nil {
		return err
	}
	v, err := h.store.Activate(ctx, r.ID)
	if err != nil {
		return err
	}
	h.activated(ctx, v.ID)
	return c.json(http.StatusOK, revisionOf(r, v))
}

func (h *Hub) listVersions(ctx context.Context, c *call) error {
	s, err := h.own(ctx, c)
	if err != nil {
		return err
	}
	versions, err := h.store.Versions(ctx, s.ID)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, c.view(s, versions).ServiceDefinitions)
}

// maxPage is the length of a page.
const maxPage = 1000

func (h *Hub) listRevisions(ctx context.Context, c *call) error {
	s, err := h.own(ctx, c)
	if err != nil {
		return err
	}
	number, size, err := c.page(maxPage)
	if err != nil {
		return err
	}
	versions, err := h.store.Versions(ctx, s.ID)
	if err != nil {
		return err
	}
	name := c.r.URL.Query().Get("version")
	if name == "" {
		name = latest
	}
	v, ok := pick(versions, name)
	if !ok && name == latest && len(versions) > 0 {
		v, ok = versions[0], true
	}
	if !ok {
		return registry.ErrNotFound
	}
	list, err := h.store.Revisions(ctx, v.ID, registry.Page{Offset: number * size, Limit: size})
	if err != nil {
		return err
	}
	views := []revisionView{}
	for _, r := range list {
		views = append(views, revisionOf(r, v))
	}
	return c.json(http.StatusOK, views)
}

// logView is a line of a build log.
type logView struct {
	Message   string `json:"message"`
	Severity  string `json:"severity"`
	Timestamp string `json:"timestamp"`
}

func logOf(l registry.LogLine) logView {
	return logView{l.Message, l.Severity, l.Time.UTC().Format(time.RFC3339Nano)}
}

const maxBuildLog = 20_000

// writeBuildLog answers with the log of a build: all that there is, or as events
// until the build ends.
func (h *Hub) writeBuildLog(ctx context.Context, c *call, revision string) error {
	if strings.Contains(c.r.Header.Get("Accept"), "text/event-stream") {
		return h.streamBuildLog(ctx, c, revision)
	}
	lines, err := h.store.BuildLog(ctx, revision, 0, maxBuildLog)
	if err != nil {
		return err
	}
	views := []logView{}
	for _, line := range lines {
		views = append(views, logOf(line))
	}
	return c.json(http.StatusOK, views)
}

// keepAlive is how often a stream without events says that it is alive.
const keepAlive = 15 * time.Second

// streamBuildLog sends each line as an event "log", and "end" with the status.
func (h *Hub) streamBuildLog(ctx context.Context, c *call, revision string) error {
	control := http.NewResponseController(c.w)
	c.wrote = true
	c.w.Header().Set("Content-Type", "text/event-stream")
	c.w.Header().Set("X-Accel-Buffering", "no")
	c.w.WriteHeader(http.StatusOK)
	send := func(format string, args ...any) bool {
		_ = control.SetWriteDeadline(time.Now().Add(answerTime))
		_, err := fmt.Fprintf(c.w, format, args...)
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
