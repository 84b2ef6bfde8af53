package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

const (
	ofCaller = ` FROM executions
	WHERE tenant_id = $1 AND tenant_id <> '' AND ($2 = '*' OR application_id = $2) AND ($3 = '' OR parent_id = $3)
		AND ($4 = '' OR service_id IN (SELECT value FROM json_each($4)))
		AND ($5 = '' OR seq IN (SELECT execution_seq FROM execution_tags t WHERE t.tag = $5 AND t.execution_seq = seq))`

	countOfCaller = `SELECT count(*)` + ofCaller

	selectOfCaller = `SELECT ` + listColumns + ofCaller + ` ORDER BY seq DESC LIMIT $6 OFFSET $7`
)

// ListOfCaller returns a part of what a caller has started, the newest first, and how
// much there is.
func (s *Store) ListOfCaller(ctx context.Context, q store.CallerQuery) (list []execution.Execution, total int, err error) {
	if q.Tenant == "" || q.Limit < 1 || q.Offset < 0 {
		return nil, 0, fmt.Errorf("%w list: it needs a tenant and a limit", store.ErrInvalid)
	}
	services := ""
	if q.Services != nil {
		text, err := json.Marshal(q.Services)
		if err != nil {
			return nil, 0, fmt.Errorf("list executions: %w", err)
		}
		services = string(text)
	}
	args := []any{q.Tenant, q.Application, string(q.Execution), services, q.Tag}
	if err := s.readOne(ctx, countOfCaller, args, &total); err != nil {
		return nil, 0, fmt.Errorf("count executions: %w", err)
	}
	err = s.read(ctx, selectOfCaller, append(args, q.Limit, q.Offset), func(row scanner) error {
		var r executionRow
		if err := row.Scan(r.listed()...); err != nil {
			return err
		}
		e, err := r.execution()
		list = append(list, e)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list executions: %w", err)
	}
	return list, total, nil
}
