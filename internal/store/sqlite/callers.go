package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

const (
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

// listOf is a JSON list for a query; empty for nil.
func listOf(all []string) (string, error) {
	if all == nil {
		return "", nil
	}
	text, err := json.Marshal(all)
	return string(text), err
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
