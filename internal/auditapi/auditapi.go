// Package auditapi has the routes of the platform API by which owners read the audit log
// of their tenant.
package auditapi

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// A Log is a part of the audit log of a tenant.
type Log struct {
	Tenant  string       `json:"tenant"`
	Head    int64        `json:"head" doc:"The number of the last entry; 0 if there is none."`
	Entries []audit.Link `json:"entries" doc:"Each with its hash: SHA-256 of the bytes of entry, in hexadecimal. An entry names the hash of the one before."`
}

// Part selects a part of the log. It is exported for the reflection that fills it.
type Part struct {
	After int64 `query:"after" minimum:"0" doc:"Only entries with a higher number."`
	Limit int   `query:"limit" doc:"How many entries the answer has at most." minimum:"1" maximum:"1000" default:"100"`
}

// Register adds the routes to an API.
func Register(api *platformapi.API, store audit.Store) {
	platformapi.Register(api, platformapi.Route{
		Method: "GET", Path: "/qc-catalog/audit", ID: "read-audit-log", Tag: "Audit", Right: access.ReadAudit,
		Summary: "Read the audit log of the tenant, the oldest entry first",
	}, func(ctx context.Context, in *Part) (*platformapi.Body[Log], error) {
		tenant := access.From(ctx).Tenant
		head, err := store.Head(ctx, tenant)
		if err != nil {
			return nil, err
		}
		links, err := store.Links(ctx, tenant, in.After, in.Limit)
		if err != nil {
			return nil, err
		}
		return &platformapi.Body[Log]{Body: Log{tenant, head.Number, links}}, nil
	})
}
