package hub

import (
	"context"
	"net/http"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/store"
)

// activityPoints is how many executions an activity has at most.
const activityPoints = 100

// activity is how the latest executions of a service went.
type activity struct {
	LastHour int             `json:"lastHour" doc:"How many were accepted in the last hour; at most 10000."`
	Points   []activityPoint `json:"points" doc:"The latest 100, the newest first."`
}

type activityPoint struct {
	ID           string `json:"id"`
	Status       string `json:"status"`
	Milliseconds int64  `json:"milliseconds" doc:"How long it ran, or has run so far; 0 if it did not start."`
}

func (h *Hub) serviceActivity(ctx context.Context, in *ByID) (*platformapi.Body[activity], error) {
	s, err := h.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	versions, err := h.store.Versions(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	q := store.CallerQuery{Tenant: access.From(ctx).Tenant, Application: "*", Services: []string{}, Limit: activityPoints, CountTo: 1}
	for _, v := range versions {
		q.Services = append(q.Services, v.ID)
	}
	latest, _, err := h.store.ListOfCaller(ctx, q)
	if err != nil {
		return nil, err
	}
	now, a := time.Now(), activity{Points: []activityPoint{}}
	for _, e := range latest {
		p := activityPoint{ID: string(e.ID), Status: string(e.Status)}
		switch {
		case !e.EndedAt.IsZero() && !e.StartedAt.IsZero():
			p.Milliseconds = e.EndedAt.Sub(e.StartedAt).Milliseconds()
		case !e.StartedAt.IsZero():
			p.Milliseconds = now.Sub(e.StartedAt).Milliseconds()
		}
		a.Points = append(a.Points, p)
	}
	q.Limit, q.CountTo, q.CreatedAfter = 1, 10_000, now.Add(-time.Hour)
	_, a.LastHour, err = h.store.ListOfCaller(ctx, q)
	return &platformapi.Body[activity]{Body: a}, err
}

// timeline has the moments of an execution.
type timeline struct {
	AcceptedAt *time.Time `json:"acceptedAt"`
	StartedAt  *time.Time `json:"startedAt" nullable:"true" doc:"Null: it has not started."`
	EndedAt    *time.Time `json:"endedAt" nullable:"true" doc:"Null: it has not ended."`
	StartedBy  starter    `json:"startedBy"`
	Revision   string     `json:"revisionId" doc:"The revision of the service that runs, or has run."`
}

func (h *Hub) executionTimeline(ctx context.Context, in *ByExecution) (*platformapi.Body[timeline], error) {
	_, e, _, err := h.execution(ctx, in)
	if err != nil {
		return nil, err
	}
	moment := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		at = at.UTC()
		return &at
	}
	return &platformapi.Body[timeline]{Body: timeline{moment(e.CreatedAt), moment(e.StartedAt), moment(e.EndedAt), starterOf(e), e.ServiceRevision}}, nil
}

// executionEvents has the API of the execution's version send the events, as if whoever
// has started the execution had asked.
func (h *Hub) executionEvents(ctx context.Context, in *ByExecution, w http.ResponseWriter, r *http.Request) error {
	ctx, e, s, err := h.execution(ctx, in)
	if err != nil {
		return err
	}
	as := r.Clone(ctx)
	as.URL.Path = gatewayBase + "/events/" + string(e.ID) + "/log"
	as.URL.RawPath, as.URL.RawQuery = "", ""
	as.Header.Set("Accept", "text/event-stream")
	h.gateway.eventsOf(s.version, s.service).ServeHTTP(w, as)
	return nil
}
