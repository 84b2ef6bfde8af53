package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

func connection(t testing.TB, text string) sqlite.ConnectionString {
	t.Helper()
	c, err := sqlite.ParseConnectionString(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// openPostgres opens a store in a schema and closes it with the test.
func openPostgres(t testing.TB, at string, o sqlite.PostgresOptions) *sqlite.Store {
	t.Helper()
	s, err := sqlite.OpenPostgres(t.Context(), connection(t, at), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v, want nil", err)
		}
	})
	return s
}

// TestPostgres runs the suites of all stores, and the checks of several processes.
func TestPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	open := func(t *testing.T) *sqlite.Store { return openPostgres(t, server.Schema(t), sqlite.PostgresOptions{}) }
	runSuites(t, func(t *testing.T, now func() time.Time) *sqlite.Store {
		return openPostgres(t, server.Schema(t), sqlite.PostgresOptions{Now: now})
	})
	t.Run("ChangesWithTheEnd", func(t *testing.T) { checkPoolsChangeWithTheEnd(t, open(t)) })
	for name, check := range map[string]func(*testing.T, *postgrestest.Server){
		"Together":        checkTogether,
		"Dead":            checkDead,
		"Notices":         checkNotices,
		"NoticesByPoll":   checkNoticesByPoll,
		"NoticesOfOne":    checkNoticesOfOne,
		"OpenedTogether":  checkOpenedTogether,
		"WithoutPrepared": checkWithoutPrepared,
		"Callers":         checkCallers,
		"Texts":           checkTexts,
	} {
		t.Run(name, func(t *testing.T) { check(t, server) })
	}
}

func makeUser(t *testing.T, s *sqlite.Store, name string) string {
	t.Helper()
	user := access.Tenant{ID: uuid.NewString(), Kind: access.User, Name: name, DisplayName: name, CreatedAt: time.Now()}
	if err := s.Access().CreateUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	return user.ID
}

func newExecution() store.NewExecution {
	return store.NewExecution{Execution: execution.Execution{ID: execution.NewID(), ServiceID: "s", Type: execution.Managed}, Request: []byte(`{}`)}
}

// checkTogether has several stores accept and run executions of one service: each runs
// once, and never more at once than the service allows.
func checkTogether(t *testing.T, server *postgrestest.Server) {
	const stores, each, most = 3, 60, 5
	at := server.Schema(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	starts, running, peak := map[execution.ID]int{}, 0, 0
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	all := make([]*sqlite.Store, stores)
	for i := range all {
		all[i] = openPostgres(t, at, sqlite.PostgresOptions{})
	}
	for i, s := range all {
		owner := fmt.Sprintf("worker-%d", i)
		group.Go(func() {
			for range each {
				if _, err := s.Accept(ctx, newExecution()); err != nil {
					t.Errorf("Accept() = %v", err)
				}
			}
		})
		group.Go(func() {
			watch := s.WatchQueue()
			defer watch.Stop()
			for {
				claimed, err := s.Claim(ctx, store.ClaimRequest{
					Owner: owner, Lease: time.Minute, Max: 2, Services: []store.ServiceLimit{{ServiceID: "s", Concurrency: most}},
				})
				if err != nil {
					t.Errorf("Claim() = %v", err)
					return
				}
				mu.Lock()
				running += len(claimed)
				peak = max(peak, running)
				mu.Unlock()
				for _, c := range claimed {
					_, err := s.Start(ctx, c.Execution.ID, owner)
					mu.Lock()
					starts[c.Execution.ID]++
					running--
					mu.Unlock()
					if err == nil {
						_, err = s.Finish(ctx, store.FinishParams{ID: c.Execution.ID, Owner: owner, Status: execution.Succeeded})
					}
					if err != nil {
						t.Errorf("Start() and Finish() = %v", err)
					}
				}
				mu.Lock()
				over := len(starts) == stores*each
				mu.Unlock()
				if over {
					return
				}
				if len(claimed) == 0 {
					select {
					case <-watch.C:
					case <-time.After(100 * time.Millisecond):
					case <-ctx.Done():
						t.Errorf("%d of %d executions have started in time", len(starts), stores*each)
						return
					}
				}
			}
		})
	}
	group.Wait()
	for id, n := range starts {
		if n != 1 {
			t.Errorf("execution %s has started %d times, want once", id, n)
		}
	}
	load, err := all[0].QueueStats(t.Context())
	if len(starts) != stores*each || peak > most || err != nil || load.Pending != 0 || load.Active != 0 {
		t.Errorf("%d executions have started, at most %d at once, %+v, %v; want %d, at most %d, none left", len(starts), peak, load, err, stores*each, most)
	}
}

// checkDead has one store take over from another that ends no lease.
func checkDead(t *testing.T, server *postgrestest.Server) {
	at := server.Schema(t)
	dead, alive := openPostgres(t, at, sqlite.PostgresOptions{}), openPostgres(t, at, sqlite.PostgresOptions{})
	var ids []execution.ID
	for range 2 {
		a := newExecution()
		a.Claim = &store.Lease{Owner: "dead", Lease: 50 * time.Millisecond}
		if _, err := dead.Accept(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.Execution.ID)
	}
	if _, err := dead.Start(t.Context(), ids[1], "dead"); err != nil {
		t.Fatal(err)
	}
	var done store.Recovery
	for len(done.Requeued)+len(done.Interrupted) < 2 && t.Context().Err() == nil {
		one, err := alive.Recover(t.Context(), "alive")
		if err != nil {
			t.Fatal(err)
		}
		done.Requeued, done.Interrupted = append(done.Requeued, one.Requeued...), append(done.Interrupted, one.Interrupted...)
	}
	if !slices.Equal(done.Requeued, ids[:1]) || !slices.Equal(done.Interrupted, ids[1:]) {
		t.Errorf("Recover() = %+v, want %v to wait and %v interrupted", done, ids[:1], ids[1:])
	}
	if _, err := dead.Finish(t.Context(), store.FinishParams{ID: ids[1], Owner: "dead", Status: execution.Succeeded}); !errors.Is(err, store.ErrLeaseLost) {
		t.Errorf("Finish() by the former owner = %v, want ErrLeaseLost", err)
	}
}

// checkOpenedTogether opens stores at the same moment: one of them makes the tables.
func checkOpenedTogether(t *testing.T, server *postgrestest.Server) {
	at := server.Schema(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			s, err := sqlite.OpenPostgres(t.Context(), connection(t, at), sqlite.PostgresOptions{})
			if err != nil {
				t.Errorf("OpenPostgres() = %v", err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// checkWithoutPrepared does without prepared statements, which a pooler may not allow.
func checkWithoutPrepared(t *testing.T, server *postgrestest.Server) {
	for _, mode := range []string{"exec", "simple_protocol", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			s := openPostgres(t, server.Schema(t)+"&default_query_exec_mode="+mode, sqlite.PostgresOptions{Now: nil})
			checkLife(t, s)
			secretWorldLife(t, s)
		})
	}
}

// checkLife brings an execution to its end.
func checkLife(t *testing.T, s *sqlite.Store) {
	t.Helper()
	a := newExecution()
	a.Execution.Tags = []string{"t"}
	a.Idempotency = &store.Idempotency{Key: "k" + string(a.Execution.ID), MACs: [][]byte{{1}}}
	a.Queue = store.QueueLimit{PerService: 10, Total: 10}
	_, err := s.Accept(t.Context(), a)
	if err == nil {
		_, err = s.Claim(t.Context(), store.ClaimRequest{Owner: "w", Lease: time.Minute, Max: 1, Services: []store.ServiceLimit{{ServiceID: "s", Concurrency: 1}}})
	}
	if err == nil {
		_, err = s.Start(t.Context(), a.Execution.ID, "w")
	}
	if err == nil {
		_, err = s.AppendLog(t.Context(), a.Execution.ID, execution.LogEntry{Message: "m", Severity: execution.Info, Timestamp: time.Now()})
	}
	if err == nil {
		_, err = s.Finish(t.Context(), store.FinishParams{ID: a.Execution.ID, Owner: "w", Status: execution.Failed, Problem: execution.Interrupted(), Result: []byte(`{"a":1}`)})
	}
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Accept(t.Context(), a)
	if err != nil || !again.Replayed || again.Execution.Status != execution.Failed {
		t.Errorf("Accept() again = %+v, %v, want the one that has failed", again, err)
	}
	plain := newExecution() // without a key, it takes one query
	plain.Claim, plain.Queue = &store.Lease{Owner: "w", Lease: time.Minute, Concurrency: 9}, a.Queue
	accepted, err := s.Accept(t.Context(), plain)
	if err == nil && accepted.Claimed {
		_, err = s.Start(t.Context(), plain.Execution.ID, "w")
	}
	if err == nil {
		_, err = s.Finish(t.Context(), store.FinishParams{ID: plain.Execution.ID, Owner: "w", Status: execution.Succeeded})
	}
	if err != nil || !accepted.Claimed {
		t.Errorf("an execution that is claimed at once: %+v, %v, want nil", accepted, err)
	}
	lines, err := s.ReadLog(t.Context(), a.Execution.ID, 0, 10)
	page, listErr := s.List(t.Context(), store.ListQuery{ServiceID: "s", Tag: "t"})
	if err != nil || listErr != nil || len(lines) != 1 || len(page.Executions) == 0 {
		t.Errorf("%d lines, %d executions, %v, %v; want some", len(lines), len(page.Executions), err, listErr)
	}
}

// secretWorldLife passes through statements with lists and numbers.
func secretWorldLife(t *testing.T, s *sqlite.Store) {
	t.Helper()
	tenant := makeUser(t, s, "a")
	q := store.CallerQuery{Tenant: tenant, Limit: 5, Services: []string{"s"}, IDs: []string{"*"}, CreatedBefore: time.Now()}
	if list, total, err := s.ListOfCaller(t.Context(), q); err != nil || total != 0 || len(list) != 0 {
		t.Errorf("ListOfCaller() = %d of %d, %v, want none", len(list), total, err)
	}
	if n, err := s.Secrets().Sweep(t.Context(), time.Now()); err != nil || n != 0 {
		t.Errorf("Sweep() = %d, %v, want none", n, err)
	}
}

// checkCallers lists what callers have started, as SQLite does.
func checkCallers(t *testing.T, server *postgrestest.Server) {
	stores := map[string]*sqlite.Store{
		"Postgres": openPostgres(t, server.Schema(t), sqlite.PostgresOptions{}),
		"SQLite":   open(t, t.TempDir()+"/store.db", sqlite.Options{}),
	}
	texts := map[string]string{}
	for name, s := range stores {
		texts[name] = describeCallers(t, s)
	}
	if texts["Postgres"] != texts["SQLite"] || !strings.Contains(texts["SQLite"], string(family(4))) {
		t.Errorf("Postgres lists\n%s\nwant, as SQLite does,\n%s", texts["Postgres"], texts["SQLite"])
	}
}

// family is the id of a member of a family of executions; 0 is none.
func family(i int) execution.ID {
	if i == 0 {
		return ""
	}
	return execution.ID(fmt.Sprintf("0198c0de-0000-7000-8000-00000000000%x", 8+i))
}

// describeCallers makes a family of executions and writes down lists of them.
func describeCallers(t *testing.T, s *sqlite.Store) string {
	t.Helper()
	parents := map[int]int{2: 1, 3: 2, 4: 2, 5: 4}
	for i := 1; i < 8; i++ {
		a := newExecution()
		e := &a.Execution
		e.ID, e.ParentID, e.TenantID = family(i), family(parents[i]), "t"
		e.ServiceID, e.Tags = []string{"Zeta", "alpha", "ébène"}[i%3], []string{fmt.Sprintf("tag%d", i%2)}
		if i%2 == 0 {
			a.Claim = &store.Lease{Owner: "w", Lease: time.Minute}
		}
		accepted, err := s.Accept(t.Context(), a)
		if err == nil && accepted.Claimed && i != 4 {
			_, err = s.Start(t.Context(), e.ID, "w")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	write := func(name string, list []execution.Execution, err error) {
		fmt.Fprint(&b, name, ":")
		for _, e := range list {
			fmt.Fprint(&b, " ", e.ID, e.ServiceID, e.Status)
		}
		fmt.Fprintln(&b, err)
	}
	for _, order := range []store.Order{store.ByCreation, store.ByStart, store.ByEnd, store.ByStatus, store.ByService} {
		for _, ascending := range []bool{true, false} {
			list, total, err := s.ListOfCaller(t.Context(), store.CallerQuery{Tenant: "t", Limit: 5, Offset: 1, Order: order, Ascending: ascending, CreatedBefore: time.Now().Add(time.Hour)})
			write(fmt.Sprint(order, ascending, total), list, err)
		}
	}
	for _, q := range []store.CallerQuery{{IDs: []string{"*A", "x"}}, {IDs: []string{"0*d"}}, {Tags: []string{"tag1"}}, {Services: []string{"alpha"}}, {Services: []string{}}, {Execution: family(2)}} {
		q.Tenant, q.Limit = "t", 10
		list, total, err := s.ListOfCaller(t.Context(), q)
		write(fmt.Sprint("some", total), list, err)
	}
	for _, limit := range []int{1, 2, 3, 100} {
		list, err := s.Descendants(t.Context(), "t", family(1), limit)
		write("descendants", list, err)
	}
	counts, err := s.CountSince(t.Context(), []string{"Zeta", "alpha"}, time.Unix(0, 0), time.Now().Add(time.Hour))
	fmt.Fprintln(&b, counts, err)
	return b.String()
}

// checkTexts: a character that Postgres does not keep is refused, and the store goes on.
func checkTexts(t *testing.T, server *postgrestest.Server) {
	s := openPostgres(t, server.Schema(t), sqlite.PostgresOptions{})
	for _, id := range []string{"a\x00b", "a\xffb"} {
		a := newExecution()
		a.Execution.ApplicationID = id
		if _, err := s.Accept(t.Context(), a); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Accept(%q) = %v, want ErrInvalid", id, err)
		}
		_, _, err := s.ListOfCaller(t.Context(), store.CallerQuery{Tenant: "t", Limit: 1, Tags: []string{id}})
		if err != nil && !errors.Is(err, store.ErrInvalid) {
			t.Errorf("ListOfCaller(%q) = %v, want nil or ErrInvalid", id, err)
		}
	}
	checkLife(t, s)
}
