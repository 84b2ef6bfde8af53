// Package auditapi has the routes of the platform API by which owners read the audit log
// of their tenant.
package auditapi

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// Options say where the log is, and what vouches for it.
type Options struct {
	Store audit.Store
	// Signer knows the keys that sign heads. Nil: heads are not signed.
	Signer audit.Signer
	// Anchored is the last anchor of a tenant outside the database. Nil: there is none.
	Anchored func(tenant string) audit.Anchor
}

// A Log is a part of the audit log of a tenant.
type Log struct {
	Tenant  string       `json:"tenant"`
	Head    int64        `json:"head" doc:"The number of the last entry; 0 if there is none."`
	Start   int64        `json:"start" doc:"The number of the last entry that was dropped because of its age; 0 if none was."`
	Entries []audit.Link `json:"entries" doc:"Each with its hash: SHA-256 of the bytes of entry, in hexadecimal. An entry names the hash of the one before."`
	Signed  audit.Head   `json:"signed" doc:"The last entry and the first, signed. A key that is empty: it is not signed."`
	Keys    []audit.Key  `json:"keys" doc:"The keys that may have signed: Ed25519, made by the versions of the master key."`
	Anchor  audit.Anchor `json:"anchor" doc:"The last entry that the server has noted outside its database; 0: none."`
}

// Part selects a part of the log. It is exported for the reflection that fills it.
type Part struct {
	After int64 `query:"after" minimum:"0" doc:"Only entries with a higher number."`
	Limit int   `query:"limit" doc:"How many entries the answer has at most." minimum:"1" maximum:"1000" default:"100"`
}

// Register adds the routes to an API.
func Register(api *platformapi.API, o Options) {
	platformapi.Register(api, platformapi.Route{
		Method: "GET", Path: "/qc-catalog/audit", ID: "read-audit-log", Tag: "Audit", Right: access.ReadAudit,
		Summary: "Read the audit log of the tenant, the oldest entry first",
	}, func(ctx context.Context, in *Part) (*platformapi.Body[Log], error) {
		log, err := o.read(ctx, access.From(ctx).Tenant, in)
		if err != nil {
			return nil, err
		}
		return &platformapi.Body[Log]{Body: log}, nil
	})
}

func (o Options) read(ctx context.Context, tenant string, in *Part) (Log, error) {
	log := Log{Tenant: tenant, Keys: []audit.Key{}}
	if o.Anchored != nil { // before the head, which may be newer
		log.Anchor = o.Anchored(tenant)
	}
	head, err := o.Store.Head(ctx, tenant) // before the signed one, which is at least as new
	if err != nil {
		return log, err
	}
	log.Head = head.Number
	if log.Signed, err = o.Store.SignedHead(ctx, tenant); err != nil {
		return log, err
	}
	if log.Signed.Signature == nil {
		log.Signed.Signature = []byte{}
	}
	log.Start = log.Signed.Start.Number
	if o.Signer != nil {
		kept, err := o.Store.Keys(ctx)
		if err != nil {
			return log, err
		}
		if log.Keys, err = audit.Trusted(o.Signer, kept); err != nil {
			return log, err
		}
	}
	log.Entries, err = o.Store.Links(ctx, tenant, in.After, in.Limit)
	return log, err
}
