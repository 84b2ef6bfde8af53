package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

func openInside(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// insertTestExecution is an operation that writes one row.
func insertTestExecution(t *tx, id execution.ID) error {
	_, err := accept(t, store.NewExecution{
		Execution: execution.Execution{ID: id, ServiceID: "s", Type: execution.Managed},
	}, "")
	return err
}

// runGroup runs operations as one group, in order, without the goroutine in between.
func runGroup(t *testing.T, w *writer, ops ...*op) {
	t.Helper()
	for _, j := range ops {
		j.done = make(chan struct{})
	}
	outer := &op{outside: func() error {
		// In the writer's goroutine no other code uses the connection.
		if err := w.begin(bool(ops[0].durability)); err != nil {
			return err
		}
		for _, j := range ops {
			if err := w.runOp(j); err != nil {
				w.session.rollback()
				w.report(ops, err)
				return nil
			}
		}
		w.report(ops, w.session.commit(notices{}))
		return nil
	}, done: make(chan struct{})}
	if err := w.submit(t.Context(), outer); err != nil {
		t.Fatal(err)
	}
}

func TestOneFailureLeavesTheGroupAlone(t *testing.T) {
	t.Parallel()
	s := openInside(t)
	failure := errors.New("no")
	before, failed, after := execution.NewID(), execution.NewID(), execution.NewID()
	w := s.WatchExecution(failed)
	defer w.Stop()
	ops := []*op{
		{run: func(t *tx) error { return insertTestExecution(t, before) }},
		{run: func(t *tx) error { return errors.Join(insertTestExecution(t, failed), failure) }},
		{run: func(t *tx) error { return insertTestExecution(t, after) }},
	}
	runGroup(t, s.writer, ops...)
	if ops[0].err != nil || !errors.Is(ops[1].err, failure) || ops[2].err != nil {
		t.Errorf("the operations return %v, %v, %v, want nil, the failure, nil", ops[0].err, ops[1].err, ops[2].err)
	}
	for _, id := range []execution.ID{before, after} {
		if _, err := s.Get(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Get(t.Context(), failed); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get(the failed execution) = %v, want ErrNotFound", err)
	}
	select {
	case <-w.C:
		t.Error("the failed operation notified a watch, want no notice")
	default:
	}
}

func TestAnUnreliableDiskFailsTheWholeGroup(t *testing.T) {
	t.Parallel()
	s := openInside(t)
	id := execution.NewID()
	ops := []*op{
		{run: func(t *tx) error { return insertTestExecution(t, id) }},
		{run: func(*tx) error { return store.ErrIO }},
	}
	runGroup(t, s.writer, ops...)
	for i, j := range ops {
		if !errors.Is(j.err, store.ErrIO) {
			t.Errorf("operation %d returns %v, want ErrIO", i, j.err)
		}
	}
	if _, err := s.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get(an execution of a failed group) = %v, want ErrNotFound", err)
	}
	// The writer goes on.
	if err := s.writer.do(t.Context(), survivesPowerLoss, func(t *tx) error { return insertTestExecution(t, id) }); err != nil {
		t.Error(err)
	}
}

// TestGroups: all operations that wait while the writer is busy share one commit,
// except that a durable one never joins a group that began without durability.
func TestGroups(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, others durability
		shared        bool
	}{
		"durable ones share":           {survivesPowerLoss, survivesPowerLoss, true},
		"others ride along":            {survivesPowerLoss, survivesCrash, true},
		"none needs a guarantee":       {survivesCrash, survivesCrash, true},
		"durable ones begin their own": {survivesCrash, survivesPowerLoss, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { checkGroup(t, c.first, c.others, c.shared) })
		})
	}
}

func checkGroup(t *testing.T, first, others durability, shared bool) {
	const many = 10
	s := openInside(t)
	id, goOn := execution.NewID(), make(chan struct{})
	var group sync.WaitGroup
	submit := func(d durability, run func(*tx) error) {
		group.Go(func() {
			if err := s.writer.do(t.Context(), d, run); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // until it is taken, or waits for the writer
	}
	submit(first, func(t *tx) error {
		<-goOn
		return insertTestExecution(t, id)
	})
	for range many {
		submit(others, func(tx *tx) error {
			// Readers see what the first has written once it is committed.
			_, err := s.Get(t.Context(), id)
			if errors.Is(err, store.ErrNotFound) != shared {
				t.Errorf("a reader sees the first write of the group: %v, want shared: %v", err, shared)
			}
			if bool(others) && !tx.w.full {
				t.Error("durable, and committed without a sync")
			}
			var setting int
			err = tx.w.session.(*sqliteSession).conn.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&setting)
			if (setting == 2) != tx.w.full {
				t.Errorf("PRAGMA synchronous = %d, want full: %v", setting, tx.w.full)
			}
			return err
		})
	}
	close(goOn)
	group.Wait()
}

func TestWithdrawnWhileItWaits(t *testing.T) {
	t.Parallel()
	s := openInside(t)
	ctx, cancel := context.WithCancel(t.Context())
	ran := false
	busy, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- s.writer.do(t.Context(), survivesCrash, func(*tx) error {
			close(busy)
			<-goOn
			return nil
		})
	}()
	<-busy
	second := make(chan error, 1)
	go func() {
		second <- s.writer.do(ctx, survivesCrash, func(*tx) error {
			ran = true
			return nil
		})
	}()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("a withdrawn operation returns %v, want context.Canceled", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := s.Scrub(t.Context()); err != nil || ran {
		t.Errorf("Scrub() = %v and the withdrawn operation ran: %v, want nil and false", err, ran)
	}
}

// TestQueriesUseIndexes: each query finds its rows by an index and none scans all
// executions, so that ended executions cost nothing.
func TestQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	s := openInside(t)
	for _, query := range []string{
		selectExecution, selectBySeq, selectState, insertExecution, insertRequest, insertSecrets, insertTag,
		insertIdempotencyKey, selectIdempotencyKey, selectServiceLoad, selectWaiting, updateClaim, updateStart,
		updateLease, updateEnd, updateFinish, updateCancelRequested, updateRelease, selectExpiredLeases, deleteSecrets,
		selectRequest, selectPage, selectPageByTag, selectSeq, selectLastLog,
		insertLog, selectLog, selectEnded, deleteExecution, selectSecretsFrom, updateSecrets,
	} {
		parameters := make([]any, strings.Count(query, "$"))
		rows, err := s.reader.(*sqliteReader).db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, parameters...)
		if err != nil {
			t.Errorf("EXPLAIN %s = %v, want a plan", query, err)
			continue
		}
		err = drain(rows, func(row scanner) error {
			var id, parent, unused int
			var detail string
			err := row.Scan(&id, &parent, &unused, &detail)
			if strings.HasPrefix(detail, "SCAN") && !strings.HasPrefix(detail, "SCAN CONSTANT ROW") {
				t.Errorf("the plan has %s, want no scan: %s", detail, query)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestGatheredJobs: of all operations that wait when a transaction begins, the
// strictest decides its durability. One that fails, even the first, takes no other
// with it.
func TestGatheredJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := openInside(t)
		failure, goOn := errors.New("no"), make(chan struct{})
		var group sync.WaitGroup
		submit := func(j *op, want error) {
			j.done = make(chan struct{})
			group.Go(func() {
				if err := s.writer.submit(t.Context(), j); !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
			})
			synctest.Wait() // until it is taken, or waits for the writer
		}
		submit(&op{outside: func() error { <-goOn; return nil }}, nil)
		submit(&op{run: func(*tx) error { return failure }}, failure)
		ids := []execution.ID{execution.NewID(), execution.NewID()}
		submit(&op{run: func(t *tx) error { return insertTestExecution(t, ids[0]) }}, nil)
		submit(&op{run: func(*tx) error { return failure }}, failure)
		submit(&op{durability: survivesPowerLoss, run: func(tx *tx) error {
			if _, err := s.Get(t.Context(), ids[0]); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get(an execution of the same group) = %v, want ErrNotFound", err)
			}
			if !tx.w.full {
				t.Error("durable, and committed without a sync")
			}
			return insertTestExecution(tx, ids[1])
		}}, nil)
		close(goOn)
		group.Wait()
		for _, id := range ids {
			if _, err := s.Get(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestManyExecutionsShareCommits: while many executions run, operations that come
// within a moment of each other share a commit. Otherwise none waits for others.
func TestManyExecutionsShareCommits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		commits := 0
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{
			Committed: func(time.Duration) { commits++ }, ScrubAfter: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		nothing := func(*tx) error { return nil }
		// both submits two operations, the second a while after the first, and returns
		// how many commits they took, and how long.
		both := func(apart time.Duration) (int, time.Duration) {
			before, begun := commits, time.Now()
			var group sync.WaitGroup
			for _, run := range []func(*tx) error{nothing, nothing} {
				group.Go(func() {
					if err := s.writer.do(t.Context(), survivesCrash, run); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				time.Sleep(apart)
			}
			group.Wait()
			return commits - before, time.Since(begun)
		}
		if n, took := both(0); n != 2 || took != 0 {
			t.Errorf("with nothing else: %d commits in %v, want 2 at once", n, took)
		}
		if err := s.writer.do(t.Context(), survivesCrash, func(t *tx) error {
			for range commitSiblings {
				t.w.leased.add(execution.Execution{ID: execution.NewID()})
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		// Seldom: operations so far apart that the writer does not wait for more.
		if n, took := both(2 * commitDelay); n != 2 || took != 4*commitDelay {
			t.Errorf("seldom: %d commits in %v, want 2 in %v", n, took, 4*commitDelay)
		}
		apart := commitDelay / 4
		for range 20 {
			both(apart)
		}
		if n, took := both(apart); n != 1 || took > 4*apart {
			t.Errorf("often: %d commits in %v, want 1 within %v", n, took, 4*apart)
		}
		// One after the other, each after the one before: no other comes meanwhile.
		waited := time.Duration(0)
		for range 40 {
			begun := time.Now()
			if err := s.writer.do(t.Context(), survivesCrash, nothing); err != nil {
				t.Error(err)
			}
			waited += time.Since(begun)
			time.Sleep(apart)
		}
		if waited > 10*commitDelay {
			t.Errorf("40 operations waited %v for others, want at most %v", waited, 10*commitDelay)
		}
	})
}
