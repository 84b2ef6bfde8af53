package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// Claim implements [store.Queue].
func (s *Store) Claim(ctx context.Context, c store.ClaimRequest) (claimed []store.Claimed, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Max <= 0 || len(c.Services) == 0 {
		return nil, nil
	}
	err = s.writer.do(ctx, survivesPowerLoss, func(t *tx) (err error) {
		t.steady = true
		claimed, err = claim(t, c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim executions: %w", err)
	}
	return claimed, nil
}

// claim takes the oldest of all executions that wait for a service with a
// free slot.
func claim(t *tx, c store.ClaimRequest) ([]store.Claimed, error) {
	free, err := freeSlots(t, c)
	if err != nil {
		return nil, err
	}
	var oldest []int64
	for serviceID, slots := range free {
		err := t.rows(selectWaiting, []any{serviceID, min(slots, c.Max)}, func(row scanner) error {
			var seq int64
			err := row.Scan(&seq)
			oldest = append(oldest, seq)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(oldest)
	claimed := make([]store.Claimed, 0, min(len(oldest), c.Max))
	for _, seq := range oldest[:min(len(oldest), c.Max)] {
		one, err := take(t, seq, c.Owner, c.Lease)
		if err != nil {
			return nil, err
		}
		claimed = append(claimed, one)
	}
	return claimed, nil
}

// freeSlots returns the services of a request that may have waiting executions,
// with the number of executions that each may still run.
func freeSlots(t *tx, c store.ClaimRequest) (map[string]int, error) {
	if only := c.Services[0]; len(c.Services) == 1 && only.Concurrency == 0 {
		return map[string]int{only.ServiceID: c.Max}, nil
	}
	limits := make(map[string]int, len(c.Services))
	for _, s := range c.Services {
		limits[s.ServiceID] = s.Concurrency
	}
	free := map[string]int{}
	err := t.rows(selectLoads, nil, func(row scanner) error {
		var serviceID string
		var waiting, active int
		if err := row.Scan(&serviceID, &waiting, &active); err != nil {
			return err
		}
		limit, wanted := limits[serviceID]
		if limit == 0 {
			limit = math.MaxInt
		}
		if wanted && waiting > 0 && active < limit {
			free[serviceID] = limit - active
		}
		return nil
	})
	return free, err
}

// take claims one execution and reads its row, its request and its secrets.
func take(t *tx, seq int64, owner string, lease time.Duration) (store.Claimed, error) {
	var r executionRow
	var request, sealed []byte
	var size sql.NullInt64
	args := []any{owner, micros(t.now.Add(lease)), seq, store.MaxClaimed}
	if err := t.row(updateClaim, args, append(r.all(), &request, &size, &sealed)...); err != nil {
		return store.Claimed{}, err
	}
	t.changed = append(t.changed, r.e.ID)
	e, err := r.execution()
	t.w.leased.add(e)
	return store.Claimed{Execution: e, Request: request, RequestSize: size.Int64, Secrets: vault.Sealed(sealed)}, err
}

// Start implements [store.Queue].
func (s *Store) Start(ctx context.Context, id execution.ID, owner string) (started execution.Execution, err error) {
	err = s.writer.doAsked(ctx, s.startSurvives, func(t *tx) *question { return t.askStart(id, owner, &started) }, func(t *tx) (err error) {
		t.steady = true
		started, err = t.begin(id, owner)
		if errors.Is(err, store.ErrNotFound) {
			return missing(t, id)
		}
		t.changed = append(t.changed, id)
		return err
	})
	if err != nil {
		return execution.Execution{}, fmt.Errorf("start execution %s: %w", id, err)
	}
	return started, nil
}

// missing distinguishes an execution of another owner from one that does not exist.
func missing(t *tx, id execution.ID) error {
	var seq int64
	if err := t.row(selectSeq, []any{string(id)}, &seq); err != nil {
		return err
	}
	return store.ErrLeaseLost
}

// Heartbeat implements [store.Queue].
func (s *Store) Heartbeat(
	ctx context.Context, owner string, lease time.Duration, ids ...execution.ID,
) (report store.HeartbeatReport, err error) {
	if owner == "" || lease <= 0 {
		return report, fmt.Errorf("%w heartbeat: it needs an owner and a lease", store.ErrInvalid)
	}
	if len(ids) == 0 {
		return report, nil
	}
	err = s.writer.do(ctx, survivesCrash, func(t *tx) error {
		t.steady = true
		report = store.HeartbeatReport{}
		for _, id := range ids {
			var cancelled int
			err := t.row(updateLease, []any{micros(t.now.Add(lease)), string(id), owner}, &cancelled)
			switch {
			case errors.Is(err, store.ErrNotFound):
				report.Lost = append(report.Lost, id)
			case err != nil:
				return err
			case cancelled != 0:
				report.Cancelled = append(report.Cancelled, id)
			}
		}
		return nil
	})
	if err != nil {
		return store.HeartbeatReport{}, fmt.Errorf("extend leases: %w", err)
	}
	return report, nil
}

// Release implements [store.Queue].
func (s *Store) Release(ctx context.Context, owner string, ids ...execution.ID) error {
	if len(ids) == 0 {
		return nil
	}
	err := s.writer.do(ctx, survivesCrash, func(t *tx) error {
		t.steady = true
		for _, id := range ids {
			n, err := t.exec(updateRelease, string(id), owner)
			if err != nil {
				return err
			}
			if n > 0 {
				t.queue = true
				t.changed = append(t.changed, id)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("give claims back: %w", err)
	}
	return nil
}
