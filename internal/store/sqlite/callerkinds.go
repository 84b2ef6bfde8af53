package sqlite

import (
	"context"
	"slices"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A kind is what executions that have ended have in common: the service, the application
// and the final state. A tenant has few, so a list by some of the three asks for each.
type kind struct{ service, application, status string }

const (
	endedOfTenant = `n.tenant_id = $1 AND n.tenant_id > '' AND n.ended_at IS NOT NULL`

	// selectKinds and selectKindsOf go from each kind to the next one in the index.
	selectKinds = `WITH RECURSIVE kinds (seq, n) AS (
		SELECT (SELECT n.seq FROM executions AS n WHERE ` + endedOfTenant + ` AND n.service_id > ''
			ORDER BY n.service_id, n.application_id, n.status LIMIT 1), 1
		UNION ALL
		SELECT coalesce(` + nextOfService + `,
			(SELECT n.seq FROM executions AS n WHERE ` + endedOfTenant + ` AND n.service_id > e.service_id
				ORDER BY n.service_id, n.application_id, n.status LIMIT 1)), kinds.n + 1
		FROM kinds JOIN executions AS e ON e.seq = kinds.seq WHERE kinds.n < $2
	) ` + kindsOf

	selectKindsOf = `WITH RECURSIVE kinds (seq, n) AS (
		SELECT (SELECT n.seq FROM executions AS n WHERE ` + endedOfTenant + ` AND n.service_id = $3
			ORDER BY n.application_id, n.status LIMIT 1), 1
		UNION ALL
		SELECT coalesce(` + nextOfService + `), kinds.n + 1
		FROM kinds JOIN executions AS e ON e.seq = kinds.seq WHERE kinds.n < $2
	) ` + kindsOf

	// nextOfService are the next kind of the same application, and the first one of the next.
	nextOfService = `
			(SELECT n.seq FROM executions AS n WHERE ` + endedOfTenant + ` AND n.service_id = e.service_id
				AND n.application_id = e.application_id AND n.status > e.status ORDER BY n.status LIMIT 1),
			(SELECT n.seq FROM executions AS n WHERE ` + endedOfTenant + ` AND n.service_id = e.service_id
				AND n.application_id > e.application_id ORDER BY n.application_id, n.status LIMIT 1)`

	kindsOf = `SELECT e.service_id, e.application_id, e.status FROM kinds JOIN executions AS e ON e.seq = kinds.seq`
)

// has reports whether a query selects executions of a kind.
func (k kind) has(q store.CallerQuery) bool {
	return (q.Application == "*" || q.Application == k.application) && (q.Services == nil || slices.Contains(q.Services, k.service)) &&
		(q.Statuses == nil || slices.Contains(q.Statuses, k.status))
}

// kindSpans are the executions that a query selects by their kind. Nil: there are too many
// kinds. Executions that wait or run come first: one that ends meanwhile is found again.
func (s *Store) kindSpans(ctx context.Context, q store.CallerQuery) ([]span, error) {
	spans := unendedSpans(q)
	var kinds []kind
	ask := func(query string, args ...any) error {
		return s.read(ctx, query, args, func(row scanner) error {
			var k kind
			err := row.Scan(&k.service, &k.application, &k.status)
			kinds = append(kinds, k)
			return err
		})
	}
	if q.Services == nil {
		if err := ask(selectKinds, q.Tenant, maxKinds); err != nil {
			return nil, err
		}
	}
	for _, service := range q.Services {
		if err := ask(selectKindsOf, q.Tenant, maxKinds, service); err != nil {
			return nil, err
		}
	}
	if len(kinds) >= maxKinds {
		return nil, nil
	}
	for _, k := range kinds {
		if k.has(q) {
			spans = append(spans, executionsSpan(conditions{}.and("e.tenant_id = $%d AND e.tenant_id > '' AND e.ended_at IS NOT NULL", q.Tenant).
				and("e.service_id = $%d AND e.application_id = $%d AND e.status = $%d", k.service, k.application, k.status).between("e.created_at", q)))
		}
	}
	return spans, nil
}

// unendedSpans are the executions that wait or run, which the indexes of the queue have.
func unendedSpans(q store.CallerQuery) []span {
	spans := []span{}
	of := func(status execution.Status) bool {
		return q.Statuses == nil || slices.Contains(q.Statuses, string(status))
	}
	if of(execution.Pending) {
		waiting := conditions{}.and("e.status = 'PENDING' AND e.owner IS NULL")
		for _, service := range q.Services {
			spans = append(spans, executionsSpan(waiting.and("e.service_id = $%d", service).between("e.created_at", q).of(q)))
		}
		if q.Services == nil {
			spans = append(spans, executionsSpan(waiting.and("e.service_id > ''").between("e.created_at", q).of(q)))
		}
	}
	if of(execution.Pending) || of(execution.Running) {
		leased := conditions{}.and("e.owner IS NOT NULL AND e.lease_expires_at > 0").between("e.created_at", q).of(q)
		spans = append(spans, executionsSpan(leased))
	}
	return spans
}
