package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Get implements [store.Reader].
func (s *Store) Get(ctx context.Context, id execution.ID) (execution.Execution, error) {
	var r executionRow
	err := s.readOne(ctx, selectExecution, []any{string(id)}, r.all()...)
	if err != nil {
		return execution.Execution{}, fmt.Errorf("read execution %s: %w", id, err)
	}
	return r.execution()
}

// Request implements [store.Reader].
func (s *Store) Request(ctx context.Context, id execution.ID) ([]byte, error) {
	var payload []byte
	if err := s.readOne(ctx, selectRequest, []any{string(id)}, &payload); err != nil {
		return nil, fmt.Errorf("read the request of execution %s: %w", id, err)
	}
	return payload, nil
}

// readOne runs a query for one row and scans it.
func (s *Store) readOne(ctx context.Context, query string, args []any, into ...any) error {
	found := false
	err := s.read(ctx, query, args, func(row scanner) error {
		found = true
		return row.Scan(into...)
	})
	if err == nil && !found {
		return store.ErrNotFound
	}
	return err
}

// List implements [store.Reader].
func (s *Store) List(ctx context.Context, q store.ListQuery) (store.Page, error) {
	if q.ServiceID == "" || q.Limit < 0 {
		return store.Page{}, fmt.Errorf("%w list: it needs a service and a limit that is not negative", store.ErrInvalid)
	}
	before, err := parseCursor(q.After)
	if err != nil {
		return store.Page{}, err
	}
	limit := q.Limit
	if limit == 0 {
		limit = store.DefaultPage
	}
	// One row more than the limit shows whether there is another page.
	query, args := selectPage, []any{q.ServiceID, before, limit + 1}
	switch {
	case q.Caller != nil:
		c := q.Caller
		query, args = selectPageOfCaller, append(args, c.Tenant, c.Application, string(c.Execution), q.Tag)
	case q.Tag != "":
		query, args = selectPageByTag, append(args, q.Tag)
	}
	var page store.Page
	var places []int64
	err = s.read(ctx, query, args, func(row scanner) error {
		var r executionRow
		var seq int64
		if err := row.Scan(append([]any{&seq}, r.listed()...)...); err != nil {
			return err
		}
		e, err := r.execution()
		page.Executions, places = append(page.Executions, e), append(places, seq)
		return err
	})
	if err != nil {
		return store.Page{}, fmt.Errorf("list executions: %w", err)
	}
	slices.Reverse(page.Executions)
	if len(page.Executions) > limit {
		page.Executions = page.Executions[:limit]
		page.Next = formatCursor(places[1]) // places[0] is the one too many
	}
	return page, nil
}

// A cursor is the place of the last execution of a page in the order of
// acceptance.
func formatCursor(seq int64) store.Cursor { return store.Cursor(strconv.FormatInt(seq, 36)) }

func parseCursor(c store.Cursor) (int64, error) {
	if c == "" {
		return math.MaxInt64, nil
	}
	seq, err := strconv.ParseInt(string(c), 36, 64)
	if err != nil || seq < 0 {
		return 0, fmt.Errorf("%w cursor: pass on the cursor of the page before unchanged", store.ErrInvalid)
	}
	return seq, nil
}

// QueueStats implements [store.Reader].
func (s *Store) QueueStats(ctx context.Context) (store.QueueStats, error) {
	load := store.QueueStats{Services: map[string]store.ServiceStats{}}
	err := s.read(ctx, selectLoads, nil, func(row scanner) error {
		var serviceID string
		var one store.ServiceStats
		if err := row.Scan(&serviceID, &one.Pending, &one.Active); err != nil {
			return err
		}
		load.Services[serviceID] = one
		load.Pending += one.Pending
		load.Active += one.Active
		return nil
	})
	if err != nil {
		return store.QueueStats{}, fmt.Errorf("read the load: %w", err)
	}
	return load, nil
}

func nullInt(n int64) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: true} }
