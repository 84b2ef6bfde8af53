package hub

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
)

// readSecrets is the action of an execution that gets stored secrets.
const readSecrets = "readSecrets"

// recordUse has the audit log of each account say which of its secrets an execution of a
// service gets. The entry is in the transaction that makes the execution RUNNING.
func recordUse(tenant, service string) func(context.Context, execution.Execution, []engine.UsedSecret) context.Context {
	return func(ctx context.Context, e execution.Execution, used []engine.UsedSecret) context.Context {
		names := map[string][]string{}
		for _, u := range used {
			owner := cmp.Or(u.Owner, tenant)
			names[owner] = append(names[owner], u.Name+": "+u.From)
		}
		entries := make([]audit.Entry, 0, len(names))
		for owner, list := range names {
			details := map[string]string{"service": service, "secrets": strings.Join(list, "; ")}
			if e.ApplicationID != "" && owner != tenant {
				details["application"] = e.ApplicationID
			}
			entries = append(entries, audit.Entry{
				Tenant: owner, Time: time.Now().UTC(), Action: readSecrets, Target: "/executions/" + e.ID.String(), Outcome: audit.Done,
				Actor: audit.Actor{Kind: string(access.Execution), ID: e.ID.String()}, Details: details,
			})
		}
		return audit.WithUses(ctx, entries...)
	}
}
