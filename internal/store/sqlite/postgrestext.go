package sqlite

import (
	"strings"
	"sync"
)

// insertPlaced is insertExecution with the decision of place, in one query of Postgres.
const insertPlaced = `WITH load AS (
		SELECT coalesce(max(waiting), 0) AS waiting, coalesce(max(active), 0) AS active FROM service_load WHERE service_id = $2
	), decided AS (
		SELECT waiting, CAST($14 AS BOOLEAN) AND waiting = 0 AND (CAST($15 AS BIGINT) = 0 OR active < CAST($15 AS BIGINT)) AS claimed FROM load
	)
	INSERT INTO executions
	(id, service_id, service_revision, status, type, created_at, tags,
	 service_definition_id, application_id, tenant_id, parent_id, person_id, owner, lease_expires_at)
	SELECT $1, $2, $3, 'PENDING', $4, CAST($5 AS BIGINT), $6, $7, $8, $9, $10, $11, CASE WHEN claimed THEN CAST($12 AS TEXT) END, CASE WHEN claimed THEN CAST($13 AS BIGINT) END
	FROM decided WHERE claimed OR (CAST($16 AS BIGINT) = 0 OR waiting < CAST($16 AS BIGINT))
		AND (CAST($17 AS BIGINT) = 0 OR (SELECT coalesce(sum(l.waiting), 0) FROM service_load l) < CAST($17 AS BIGINT))
	ON CONFLICT (id) DO NOTHING
	RETURNING seq, owner IS NOT NULL`

// postgresTexts are statements that Postgres needs in other words.
var postgresTexts = map[string]string{
	// Rows that another process is about to take are left to it.
	selectWaiting:   selectWaiting + ` FOR UPDATE SKIP LOCKED`,
	selectWatched(): selectWatchedInPostgres(),
	// Postgres has no LIMIT in the recursion. It goes on with a level only if the limit
	// was not reached before.
	selectDescendants: `WITH RECURSIVE tree (id, depth) AS (
		SELECT CAST($1 AS TEXT) COLLATE "C", 0
		UNION ALL
		SELECT e.id, tree.depth + 1 FROM tree JOIN executions e ON e.parent_id = tree.id AND e.parent_id <> '' WHERE e.tenant_id = $2
	), nearest AS (SELECT id FROM tree LIMIT $3)
	SELECT ` + listColumns + ` FROM executions WHERE id IN (SELECT id FROM nearest) AND tenant_id = $2 ORDER BY seq`,
}

var translated sync.Map // of queries

// inPostgres is a statement in the words of Postgres.
func inPostgres(query string) string {
	if text, ok := translated.Load(query); ok {
		return text.(string) //nolint:forcetypeassert // it has nothing else
	}
	text, other := postgresTexts[query]
	if !other {
		text = strings.ReplaceAll(query, "json_each(", "qhubctl_items(")
	}
	translated.Store(query, text)
	return text
}
