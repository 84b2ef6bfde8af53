package platformapi

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
)

// recorded returns a context in which the first change of a request writes an audit entry.
func (a *API) recorded(ctx context.Context, caller access.Principal, route Route, r *http.Request) context.Context {
	if a.options.Audit == nil || !caller.Known() || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return ctx
	}
	return audit.With(ctx, audit.NewRecord(audit.Entry{
		Tenant: caller.Tenant, Time: time.Now().UTC(), Action: route.ID, Target: r.URL.Path, Outcome: audit.Done,
		Actor: audit.Actor{Kind: string(caller.Kind), ID: caller.ID, Credential: caller.Credential},
	}))
}

// Denials of each tenant that are recorded: more are in the log of the server only.
const (
	denialsPerSecond = 1
	denialsAtOnce    = 20
)

// recordDenial writes that a caller lacks a right.
func (a *API) recordDenial(ctx context.Context) {
	record := audit.From(ctx)
	if record == nil {
		return
	}
	entry, _ := record.Entry()
	limiter, _ := a.denials.LoadOrStore(entry.Tenant, rate.NewLimiter(denialsPerSecond, denialsAtOnce))
	if !limiter.(*rate.Limiter).Allow() { //nolint:forcetypeassert // nothing else is in the map
		a.options.Log.Warn("a caller lacks a right", "tenant", entry.Tenant, "actor", entry.Actor.ID, "action", entry.Action)
		return
	}
	entry.Outcome = audit.Denied
	if err := a.options.Audit.Append(ctx, entry); err != nil {
		a.options.Log.Error("cannot record that a caller lacks a right", "action", entry.Action, "error", err)
	}
}
