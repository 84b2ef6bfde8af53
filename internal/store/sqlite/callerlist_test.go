package sqlite

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A callerFilter is a filter of a list, with what it means.
type callerFilter struct {
	name string
	set  func(*store.CallerQuery)
	has  func(execution.Execution) bool
}

// callerFilters are the filters of lists of all.
func callerFilters(all []execution.Execution) []callerFilter {
	middle, parent := all[len(all)/2], all[7].ParentID
	statusIs := func(of ...string) callerFilter {
		return callerFilter{"status=" + strings.Join(of, "|"), func(q *store.CallerQuery) { q.Statuses = of },
			func(e execution.Execution) bool { return slices.Contains(of, string(e.Status)) }}
	}
	tagged := func(of ...string) callerFilter {
		return callerFilter{"tags=" + strings.Join(of, "|"), func(q *store.CallerQuery) { q.Tags = of },
			func(e execution.Execution) bool {
				return slices.ContainsFunc(of, func(tag string) bool { return slices.Contains(e.Tags, tag) })
			}}
	}
	return []callerFilter{
		{"all", func(*store.CallerQuery) {}, func(execution.Execution) bool { return true }},
		statusIs("FAILED"), statusIs("PENDING"), statusIs("RUNNING", "SUCCEEDED"), statusIs("CANCELLED", "NONE"),
		{"service", func(q *store.CallerQuery) { q.Services = []string{"s1"} }, func(e execution.Execution) bool { return e.ServiceID == "s1" }},
		{"services", func(q *store.CallerQuery) { q.Services = []string{"s2", "s0", "none"} }, func(e execution.Execution) bool { return e.ServiceID != "s1" }},
		{"application", func(q *store.CallerQuery) { q.Application = "a1" }, func(e execution.Execution) bool { return e.ApplicationID == "a1" }},
		{"no application", func(q *store.CallerQuery) { q.Application = "" }, func(e execution.Execution) bool { return e.ApplicationID == "" }},
		tagged("red"), tagged("red", "blue", "red"), tagged("none"),
		{"after", func(q *store.CallerQuery) { q.CreatedAfter = middle.CreatedAt }, func(e execution.Execution) bool { return e.CreatedAt.After(middle.CreatedAt) }},
		{"before", func(q *store.CallerQuery) { q.CreatedBefore = middle.CreatedAt }, func(e execution.Execution) bool { return e.CreatedAt.Before(middle.CreatedAt) }},
		{"id", func(q *store.CallerQuery) { q.IDs = []string{strings.ToUpper(string(middle.ID))} }, func(e execution.Execution) bool { return e.ID == middle.ID }},
		{"ids", func(q *store.CallerQuery) { q.IDs = []string{string(middle.ID[:20]) + "*", string(middle.ID)} },
			func(e execution.Execution) bool { return e.ID[:20] == middle.ID[:20] }},
		{"end of id", func(q *store.CallerQuery) { q.IDs = []string{"*" + string(middle.ID[30:])} }, func(e execution.Execution) bool { return e.ID[30:] == middle.ID[30:] }},
		{"parent", func(q *store.CallerQuery) { q.Execution = parent }, func(e execution.Execution) bool { return e.ParentID == parent }},
	}
}

// fillCallers makes executions of a tenant that differ in all that lists select by, and
// some of another tenant. Those of the tenant are returned, the newest first.
func fillCallers(t *testing.T, s *Store) (all []execution.Execution) {
	t.Helper()
	root := execution.NewID()
	for i := range 240 {
		e := execution.Execution{
			ID: execution.NewID(), ServiceID: fmt.Sprint("s", i%3), Type: execution.Managed, TenantID: "t", ApplicationID: []string{"", "a1", "a2", "a1", ""}[i%5],
		}
		if i%7 == 0 {
			e.ParentID = root
		}
		e.Tags = [][]string{nil, {"red"}, {"blue", "red"}, {"blue"}}[i%4]
		if i%16 == 15 {
			e.TenantID = "other"
		}
		accept := store.NewExecution{Execution: e}
		if i < 230 { // else it waits
			accept.Claim = &store.Lease{Owner: "test", Lease: time.Hour}
		}
		if _, err := s.Accept(t.Context(), accept); err != nil {
			t.Fatal(err)
		}
		if i < 230 {
			finishCaller(t, s, e.ID, i)
		}
		made, err := s.Get(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if made.TenantID == "t" {
			all = append(all, made)
		}
	}
	slices.Reverse(all)
	return all
}

// finishCaller ends some executions, in each way.
func finishCaller(t *testing.T, s *Store, id execution.ID, i int) {
	t.Helper()
	_, err := s.Start(t.Context(), id, "test")
	end := store.FinishParams{ID: id, Owner: "test", Status: execution.Succeeded}
	switch i % 11 {
	case 4:
		return // it runs
	case 3:
		end.Status = execution.Cancelled
	case 5:
		end.Status, end.Problem = execution.Failed, &execution.Problem{Title: "No"}
	}
	if err == nil {
		_, err = s.Finish(t.Context(), end)
	}
	if err != nil {
		t.Fatalf("end execution %d: %v", i, err)
	}
}

// TestListsOfCallers lists by each filter, and by each two, and looks at the plan of each
// query: none reads all executions.
func TestListsOfCallers(t *testing.T) {
	t.Parallel()
	s := openInside(t)
	all := fillCallers(t, s)
	counts := map[execution.Status]int{}
	for _, e := range all {
		counts[e.Status]++
	}
	if len(counts) != 5 {
		t.Fatalf("the executions are %v, want some in each of five states", counts)
	}
	checkLists(t, s, all)
	for query := range s.reader.(*sqliteReader).stmts {
		plan := strings.Join(planOf(t, s, query), "\n")
		for _, span := range []struct{ has, index string }{
			{"AND e.ended_at IS NOT NULL", "executions_by_kind"}, {"e.owner IS NULL", "executions_waiting"}, {"e.owner IS NOT NULL", "executions_leased"},
			{"FROM execution_tags AS t CROSS JOIN", "execution_tags_by_caller"}, {"e.parent_id = ", "executions_by_parent"}, {"e.id >= ", "sqlite_autoindex_executions_1"},
			{"FROM executions AS e WHERE e.tenant_id = ", "executions_by_"}, {"WITH RECURSIVE kinds", "executions_by_kind"}, {"", ""},
		} {
			if !strings.Contains(query, span.has) {
				continue
			}
			if !strings.Contains(plan, "INDEX "+span.index) && span.index != "" || scans.MatchString(plan) {
				t.Errorf("the plan is\n%s\nwant one with %s and without a scan of executions: %s", plan, span.index, query)
			}
			break
		}
		if strings.Contains(query, "WITH RECURSIVE kinds") && !strings.Contains(plan, "service_id=? AND application_id=? AND status>?") {
			t.Errorf("the plan is\n%s\nwant one that seeks the next kind: %s", plan, query)
		}
		if strings.Contains(plan, "TEMP B-TREE FOR ORDER BY") && strings.Contains(query, "tenant_id = $1") {
			t.Errorf("the plan is\n%s\nwant one that sorts nothing: %s", plan, query)
		}
	}
}

// checkLists lists by each filter, and by each two.
func checkLists(t *testing.T, s *Store, all []execution.Execution) {
	t.Helper()
	filters := callerFilters(all)
	for i, a := range filters {
		for _, b := range filters[i:] {
			q := store.CallerQuery{Tenant: "t", Application: "*", Offset: 1, Limit: 3, CountTo: 50}
			a.set(&q)
			b.set(&q)
			checkList(t, s, a.name+" and "+b.name, q, all, func(e execution.Execution) bool {
				return effective(a, b, e)
			})
		}
	}
}

// TestListsOfCallersInPostgres lists there by each filter, and by each two.
func TestListsOfCallersInPostgres(t *testing.T) {
	t.Parallel()
	at, err := ParseConnectionString(postgrestest.Start(t).Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenPostgres(t.Context(), at, PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	checkLists(t, s, fillCallers(t, s))
}

// scans finds a plan that reads a whole table.
var scans = regexp.MustCompile(`SCAN (e|n|t|executions|execution_tags)\b`)

// effective reports whether an execution has what two filters select: of the same kind, the
// second replaces the first.
func effective(a, b callerFilter, e execution.Execution) bool {
	kind := func(f callerFilter) string {
		var q store.CallerQuery
		q.Application = "*"
		f.set(&q)
		return fmt.Sprint(q.Application != "*", q.Services != nil, q.Statuses != nil, q.Tags != nil, q.IDs != nil, q.CreatedAfter.IsZero(), q.CreatedBefore.IsZero(), q.Execution != "")
	}
	return b.has(e) && (kind(a) == kind(b) || a.has(e))
}

func checkList(t *testing.T, s *Store, name string, q store.CallerQuery, all []execution.Execution, has func(execution.Execution) bool) {
	t.Helper()
	var want []execution.ID
	for _, e := range all {
		if has(e) {
			want = append(want, e.ID)
		}
	}
	total := min(len(want), q.CountTo)
	for _, ascending := range []bool{false, true} {
		q.Ascending = ascending
		part := want[min(q.Offset, len(want)):min(q.Offset+q.Limit, len(want))]
		list, n, err := s.ListOfCaller(t.Context(), q)
		var got []execution.ID
		for _, e := range list {
			got = append(got, e.ID)
		}
		if err != nil || n != total || !slices.Equal(got, part) {
			t.Errorf("ListOfCaller(%s, ascending %v) = %q of %d, %v, want %q of %d", name, ascending, got, n, err, part, total)
		}
		slices.Reverse(want)
	}
}

// planOf are the lines of a query's plan.
func planOf(t *testing.T, s *Store, query string) (lines []string) {
	t.Helper()
	highest := 0
	for i := range 30 {
		if strings.Contains(query, fmt.Sprint("$", i)) {
			highest = cmp.Or(i, highest)
		}
	}
	rows, err := s.reader.(*sqliteReader).db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, highest)...)
	if err == nil {
		err = drain(rows, func(row scanner) error {
			var id, parent, unused int
			var detail string
			err := row.Scan(&id, &parent, &unused, &detail)
			lines = append(lines, detail)
			return err
		})
	}
	if err != nil {
		t.Errorf("EXPLAIN %s = %v, want a plan", query, err)
	}
	return lines
}

// TestListsOfManyKinds reads all executions where there are too many kinds.
func TestListsOfManyKinds(t *testing.T) {
	t.Parallel()
	s := openInside(t)
	all := fillCallers(t, s)
	q := store.CallerQuery{Tenant: "t", Application: "*", Statuses: []string{"FAILED"}, Limit: 3, CountTo: 50}
	spans, err := s.kindSpans(t.Context(), q)
	if err != nil || len(spans) < 4 {
		t.Fatalf("kindSpans() = %d spans, %v, want those of each kind", len(spans), err)
	}
	var group sync.WaitGroup
	for i := range maxKinds {
		group.Go(func() {
			e := execution.Execution{ID: execution.NewID(), ServiceID: "s0", Type: execution.Managed, TenantID: "t", ApplicationID: fmt.Sprint("many", i)}
			_, err := s.Accept(t.Context(), store.NewExecution{Execution: e})
			if err == nil {
				_, err = s.Cancel(t.Context(), e.ID)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if spans, err := s.kindSpans(t.Context(), q); err != nil || spans != nil {
		t.Errorf("kindSpans(%d kinds) = %d spans, %v, want none", maxKinds, len(spans), err)
	}
	checkList(t, s, "many kinds", q, all, func(e execution.Execution) bool { return e.Status == execution.Failed })
}
