package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

const (
	ofCaller = ` FROM executions
	WHERE tenant_id = $1 AND tenant_id <> '' AND ($2 = '*' OR application_id = $2) AND ($3 = '' OR parent_id = $3)
		AND ($4 = '' OR service_id IN (SELECT value FROM json_each($4)))
		AND ($5 = '' OR seq IN (SELECT execution_seq FROM execution_tags t WHERE t.execution_seq = seq AND t.tag IN (SELECT value FROM json_each($5))))
		AND ($6 = '' OR EXISTS (SELECT 1 FROM json_each($6) p WHERE lower(executions.id) LIKE lower(p.value) ESCAPE '\'))
		AND created_at > $7 AND (CAST($8 AS BIGINT) = 0 OR created_at < $8)
		AND ($11 = '' OR status IN (SELECT value FROM json_each($11)))`

	countOfCaller = `SELECT count(*) FROM (SELECT 1` + ofCaller + ` LIMIT $9 OFFSET $10) AS counted`

	selectOfCaller = `SELECT ` + listColumns + ofCaller + ` ORDER BY %s LIMIT $9 OFFSET $10`

	countSince = `SELECT count(*) FROM executions WHERE service_id IN (SELECT value FROM json_each($1)) AND created_at >= $2`

	insertKept = `INSERT INTO execution_inputs (execution_seq, document) VALUES ($1, $2)`

	selectKept = `SELECT document FROM execution_inputs WHERE execution_seq = (SELECT seq FROM executions WHERE id = $1)`

	selectDescendants = `WITH RECURSIVE tree (id, depth) AS (
		SELECT $1, 0
		UNION
		SELECT e.id, tree.depth + 1 FROM tree JOIN executions e ON e.parent_id = tree.id AND e.parent_id <> '' WHERE e.tenant_id = $2
		ORDER BY 2
		LIMIT $3
	)
	SELECT ` + listColumns + ` FROM executions WHERE id IN (SELECT id FROM tree) AND tenant_id = $2 ORDER BY seq`
)

// orders are the columns by which lists are sorted.
var orders = map[store.Order]string{
	store.ByCreation: "seq", store.ByStart: "started_at", store.ByEnd: "ended_at", store.ByStatus: "status", store.ByService: "service_id",
}

// listOf is a JSON list for a query; empty for nil.
func listOf(all []string) (string, error) {
	if all == nil {
		return "", nil
	}
	text, err := json.Marshal(all)
	return string(text), err
}

// patterns are those of LIKE for names with asterisks.
func patterns(names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`).Replace(name))
	}
	return all
}

// ListOfCaller returns a part of what a caller has started, and how much there is.
func (s *Store) ListOfCaller(ctx context.Context, q store.CallerQuery) (list []execution.Execution, total int, err error) {
	order, known := orders[q.Order]
	if q.Tenant == "" || q.Limit < 1 || q.Offset < 0 || !known {
		return nil, 0, fmt.Errorf("%w list: it needs a tenant, a limit and an order", store.ErrInvalid)
	}
	if !q.Ascending {
		order += " DESC"
	}
	if q.Order == store.ByStart || q.Order == store.ByEnd {
		order += map[bool]string{true: " NULLS FIRST", false: " NULLS LAST"}[q.Ascending] // none is the smallest
	}
	if q.Order != store.ByCreation {
		order += ", seq DESC"
	}
	args := []any{q.Tenant, q.Application, string(q.Execution)}
	for _, names := range [][]string{q.Services, q.Tags, patterns(q.IDs)} {
		text, err := listOf(names)
		if err != nil {
			return nil, 0, fmt.Errorf("list executions: %w", err)
		}
		args = append(args, text)
	}
	statuses, err := listOf(q.Statuses)
	if err != nil {
		return nil, 0, fmt.Errorf("list executions: %w", err)
	}
	part := func(limit, offset int) []any {
		return append(slices.Clip(args), stamp(q.CreatedAfter), stamp(q.CreatedBefore), limit, offset, statuses)
	}
	if err := s.readOne(ctx, countOfCaller, part(cmp.Or(q.CountTo, math.MaxInt32), 0), &total); err != nil {
		return nil, 0, fmt.Errorf("count executions: %w", err)
	}
	list, err = s.listed(ctx, fmt.Sprintf(selectOfCaller, order), part(q.Limit, q.Offset)...)
	if err != nil {
		return nil, 0, fmt.Errorf("list executions: %w", err)
	}
	return list, total, nil
}

func (s *Store) listed(ctx context.Context, query string, args ...any) (list []execution.Execution, err error) {
	err = s.read(ctx, query, args, func(row scanner) error {
		var r executionRow
		if err := row.Scan(r.listed()...); err != nil {
			return err
		}
		e, err := r.execution()
		list = append(list, e)
		return err
	})
	return list, err
}

// Descendants returns an execution of a tenant with those that it has started, and that
// these have started, in the order of their creation: at most so many, those nearest to
// it first. Executions of other tenants are left out.
func (s *Store) Descendants(ctx context.Context, tenant string, id execution.ID, limit int) ([]execution.Execution, error) {
	list, err := s.listed(ctx, selectDescendants, string(id), tenant, limit)
	if err != nil {
		return nil, fmt.Errorf("list the lineage of an execution: %w", err)
	}
	return list, nil
}

// CountSince counts the executions of services that were made since each of some times.
func (s *Store) CountSince(ctx context.Context, services []string, since ...time.Time) ([]int, error) {
	text, err := listOf(append([]string{}, services...))
	if err != nil {
		return nil, fmt.Errorf("count executions: %w", err)
	}
	counts := make([]int, len(since))
	for i, t := range since {
		if err := s.readOne(ctx, countSince, []any{text, stamp(t)}, &counts[i]); err != nil {
			return nil, fmt.Errorf("count executions: %w", err)
		}
	}
	return counts, nil
}

// Kept returns what a job has kept of its request. [store.ErrNotFound]: nothing.
func (s *Store) Kept(ctx context.Context, id execution.ID) ([]byte, error) {
	var document []byte
	if err := s.readOne(ctx, selectKept, []any{string(id)}, &document); err != nil {
		return nil, fmt.Errorf("read the input of a job: %w", err)
	}
	return bytes.Clone(document), nil
}
