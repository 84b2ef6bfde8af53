package sqlite

import (
	"strings"
	"sync"
)

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
