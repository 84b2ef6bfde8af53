package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// pages reads a whole list and checks the length of each page.
func (f *fixture) pages(q store.ListQuery) (ids []execution.ID) {
	f.Helper()
	for {
		page, err := f.List(f.Context(), q)
		f.must(err)
		if len(page.Executions) > q.Limit || (page.Next != "" && len(page.Executions) < q.Limit) {
			f.Fatalf("a page of %d", len(page.Executions))
		}
		for _, e := range page.Executions {
			ids = append(ids, e.ID)
		}
		if page.Next == "" {
			return ids
		}
		q.After = page.Next
	}
}

func checkListPages(f *fixture) {
	var want []execution.ID
	for range 5 {
		want = append(want, f.waiting(service, 5)...)
		f.waiting(other, 2)
	}
	slices.Reverse(want) // the newest first
	for _, limit := range []int{1, 4, 5, 24, 25, 26} {
		f.wantIDs(f.pages(store.ListQuery{ServiceID: service, Limit: limit}), want)
	}
	// A page stays the same although executions come and go.
	first, err := f.List(f.Context(), store.ListQuery{ServiceID: service, Limit: 10})
	f.must(err)
	f.waiting(service, 3)
	last := first.Executions[9].ID
	_, err = f.Cancel(f.Context(), last)
	f.must(err)
	_, err = f.Delete(f.Context(), last)
	f.must(err)
	f.wantIDs(f.pages(store.ListQuery{ServiceID: service, Limit: 10, After: first.Next}), want[10:])

	empty, err := f.List(f.Context(), store.ListQuery{ServiceID: "unknown"})
	f.must(err)
	if len(empty.Executions) != 0 || empty.Next != "" {
		f.Errorf("%+v", empty)
	}
	if got := first.Executions[0]; got.Status != execution.Pending || got.CreatedAt.IsZero() || got.ServiceID != service {
		f.Errorf("listed as %+v", got)
	}
	errs := inParallel(store.DefaultPage, func(int) error {
		_, err := f.Accept(f.Context(), newExecution("many"))
		return err
	})
	f.must(errors.Join(errs...))
	f.waiting("many", 1)
	page, err := f.List(f.Context(), store.ListQuery{ServiceID: "many"})
	f.must(err)
	if len(page.Executions) != store.DefaultPage || page.Next == "" {
		f.Errorf("a page of %d by default", len(page.Executions))
	}
}

func checkListByTag(f *fixture) {
	var red []execution.ID
	for i := range 12 {
		a := newExecution(service)
		a.Execution.Tags = []string{"all", "all"} // twice is once
		if i%3 == 0 {
			a.Execution.Tags = append(a.Execution.Tags, "red")
			red = append(red, a.Execution.ID)
		}
		f.accept(a)
	}
	elsewhere := newExecution(other)
	elsewhere.Execution.Tags = []string{"red"}
	f.accept(elsewhere)
	slices.Reverse(red)
	f.wantIDs(f.pages(store.ListQuery{ServiceID: service, Tag: "red", Limit: 3}), red)
	if n := len(f.pages(store.ListQuery{ServiceID: service, Tag: "all", Limit: 5})); n != 12 {
		f.Errorf("%d tagged all", n)
	}
	if ids := f.pages(store.ListQuery{ServiceID: service, Tag: "re%", Limit: 5}); len(ids) != 0 {
		f.Errorf("a tag was taken for a pattern: %v", ids)
	}
}

func checkListByCaller(f *fixture) {
	parent := execution.NewID()
	callers := []store.Caller{
		{Tenant: "t", Application: "a"}, {Tenant: "t", Application: "b"}, {Tenant: "t"}, {Tenant: "t", Execution: parent},
		{Tenant: "u", Application: "a"}, {},
	}
	has := make([][]execution.ID, len(callers))
	for i := range 18 {
		c := callers[i%len(callers)]
		a := newExecution(service)
		a.Execution.TenantID, a.Execution.ApplicationID, a.Execution.ParentID = c.Tenant, c.Application, c.Execution
		if i < len(callers) {
			a.Execution.Tags = []string{"first"}
		}
		accepted := f.accept(a)
		for n, other := range callers {
			if other.Has(accepted.Execution) {
				has[n] = append([]execution.ID{a.Execution.ID}, has[n]...)
			}
		}
	}
	for n, want := range []int{3, 3, 6, 3, 3, 0} { // a tenant has those of its executions too
		if len(has[n]) != want {
			f.Errorf("%+v has %d executions, want %d", callers[n], len(has[n]), want)
		}
		f.wantIDs(f.pages(store.ListQuery{ServiceID: service, Caller: &callers[n], Limit: 2}), has[n])
		tagged := f.pages(store.ListQuery{ServiceID: service, Caller: &callers[n], Tag: "first", Limit: 2})
		f.wantIDs(tagged, has[n][len(has[n])-len(tagged):])
		if len(tagged) != want/3 {
			f.Errorf("%+v has %d executions with a tag, want %d", callers[n], len(tagged), want/3)
		}
	}
}

func checkListRefusesNonsense(f *fixture) {
	for _, q := range []store.ListQuery{
		{}, {ServiceID: service, Limit: -1}, {ServiceID: service, After: "no cursor"}, {ServiceID: service, After: "-1"},
	} {
		if _, err := f.List(f.Context(), q); !errors.Is(err, store.ErrInvalid) {
			f.Errorf("%+v: %v", q, err)
		}
	}
}

func checkLog(f *fixture) {
	id, quiet := f.running(), f.running()
	want := []store.LogLine{}
	for i := range 7 {
		want = append(want, store.LogLine{Sequence: int64(i + 1), Entry: entry(i)})
	}
	want[6].Entry.Message, want[6].Entry.Severity = "naïve\x1b[0m \"x\"\n", execution.Error
	last, err := f.AppendLog(f.Context(), id, want[0].Entry, want[1].Entry, want[2].Entry)
	f.must(err)
	if last != 3 {
		f.Errorf("the last line is %d", last)
	}
	_, err = f.AppendLog(f.Context(), quiet, entry(99))
	f.must(err)
	_, err = f.AppendLog(f.Context(), id, want[3].Entry, want[4].Entry, want[5].Entry, want[6].Entry)
	f.must(err)
	last, err = f.AppendLog(f.Context(), id)
	f.must(err)
	if last != 7 {
		f.Errorf("after nothing was added, the last line is %d", last)
	}
	for _, c := range []struct {
		after int64
		limit int
		want  []store.LogLine
	}{{0, 100, want}, {3, 100, want[3:]}, {2, 2, want[2:4]}, {7, 10, nil}, {99, 10, nil}} {
		got, err := f.ReadLog(f.Context(), id, c.after, c.limit)
		f.must(err)
		if !reflect.DeepEqual(got, c.want) {
			f.Errorf("after %d, up to %d: %+v", c.after, c.limit, got)
		}
	}
}

// checkLongLog writes and reads more than fits into one row, however the lines
// come.
func checkLongLog(f *fixture) {
	id := f.running()
	var want []store.LogLine
	for i := range 3000 {
		e := entry(i)
		e.Message += strings.Repeat("\nline ", i%97)
		if i%1000 == 0 {
			e.Message = strings.Repeat("x", 100<<10)
		}
		want = append(want, store.LogLine{Sequence: int64(i + 1), Entry: e})
	}
	for rest, n := want, 1; len(rest) > 0; n *= 3 {
		var entries []execution.LogEntry
		for _, line := range rest[:min(n, len(rest))] {
			entries = append(entries, line.Entry)
		}
		last, err := f.AppendLog(f.Context(), id, entries...)
		f.must(err)
		rest = rest[len(entries):]
		if int(last) != len(want)-len(rest) {
			f.Errorf("the last line is %d, and %d were written", last, len(want)-len(rest))
		}
	}
	for _, limit := range []int{7, 1000, 5000} {
		var got []store.LogLine
		for {
			page, err := f.ReadLog(f.Context(), id, int64(len(got)), limit)
			f.must(err)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		if !reflect.DeepEqual(got, want) {
			f.Errorf("%d at a time, the log is not as it was written", limit)
		}
	}
}

func checkLogInParallel(f *fixture) {
	id := f.running()
	errs := inParallel(20, func(i int) error {
		_, err := f.AppendLog(f.Context(), id, entry(i), entry(i))
		return err
	})
	f.must(errors.Join(errs...))
	lines, err := f.ReadLog(f.Context(), id, 0, 100)
	f.must(err)
	for i, line := range lines {
		if line.Sequence != int64(i+1) || line.Entry != lines[i&^1].Entry {
			f.Fatalf("line %d has number %d, or stands apart from its batch", i, line.Sequence)
		}
	}
	if len(lines) != 40 {
		f.Errorf("%d lines", len(lines))
	}
}

// signalled reports whether a watch holds a token. The store leaves the token
// before the operation returns, so the check does not wait.
func signalled(w *store.Watch) bool {
	select {
	case <-w.C:
		return true
	default:
		return false
	}
}

func checkWatchQueue(f *fixture) {
	w := f.WatchQueue()
	defer w.Stop()
	wants := func(want bool, after string) {
		f.Helper()
		if signalled(w) != want {
			f.Errorf("after %s: signalled is not %v", after, want)
		}
	}
	wants(false, "nothing")
	ids := f.waiting(service, 3)
	wants(true, "accepting")
	wants(false, "looking")
	f.claimAs(worker, 2)
	wants(false, "claiming")
	f.start(ids[0])
	wants(false, "starting")
	f.must(f.Release(f.Context(), worker, ids[1]))
	wants(true, "giving back")
	f.finish(ids[0], execution.Succeeded)
	wants(true, "finishing, which frees a slot")
	f.claimAs(worker, 2)
	f.clock.Advance(2 * lease)
	_, err := f.Recover(f.Context(), rival)
	f.must(err)
	wants(true, "recovering")
	w.Stop()
	f.waiting(service, 1)
	wants(false, "stopping")
}

func checkWatchExecution(f *fixture) {
	id := f.waiting(service, 1)[0]
	w := f.WatchExecution(id)
	defer w.Stop()
	step := func(name string, do func() error) {
		f.Helper()
		f.must(do())
		if !signalled(w) {
			f.Errorf("%s left no token in the watch, want one", name)
		}
	}
	step("claim", func() error { f.claimAs(worker, 1); return nil })
	step("start", func() error { f.start(id); return nil })
	step("log", func() error { _, err := f.AppendLog(f.Context(), id, entry(1)); return err })
	step("cancel", func() error { _, err := f.Cancel(f.Context(), id); return err })
	step("finish", func() error { f.finish(id, execution.Cancelled); return nil })
	f.running()
	if signalled(w) {
		f.Error("a change of another execution left a token, want none")
	}
	step("delete", func() error { _, err := f.Delete(f.Context(), id); return err })
}

// operations calls everything that takes the id of an execution.
func operations(ctx context.Context, s store.Store, id execution.ID) map[string]error {
	errs := map[string]error{}
	_, errs["get"] = s.Get(ctx, id)
	_, errs["request"] = s.Request(ctx, id)
	_, errs["start"] = s.Start(ctx, id, worker)
	_, errs["finish"] = s.Finish(ctx, store.FinishParams{ID: id, Owner: worker, Status: execution.Failed})
	_, errs["cancel"] = s.Cancel(ctx, id)
	_, errs["append"] = s.AppendLog(ctx, id, entry(1))
	_, errs["log"] = s.ReadLog(ctx, id, 0, 1)
	return errs
}

func checkNotFound(f *fixture) {
	for name, err := range operations(f.Context(), f.Store, execution.NewID()) {
		if !errors.Is(err, store.ErrNotFound) {
			f.Errorf("%s: %v", name, err)
		}
	}
}

func checkClosed(f *fixture) {
	id := f.waiting(service, 1)[0]
	f.must(f.Close())
	for name, err := range operations(f.Context(), f.Store, id) {
		if !errors.Is(err, store.ErrClosed) {
			f.Errorf("%s: %v", name, err)
		}
	}
	_, err := f.Accept(f.Context(), newExecution(service))
	f.wants(store.ErrClosed, err)
	f.must(f.Close()) // twice does no harm
}
