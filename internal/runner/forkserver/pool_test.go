//go:build linux

package forkserver_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// neighbours are services that share a pool with room for so many of them, and
// not for one more. They are closed with the test, and none of their processes stays.
type neighbours struct {
	*forkserver.Pool
	t       *testing.T
	options forkserver.Options
	pids    []int
	runners []*forkserver.Runner
}

func newNeighbours(t *testing.T, access int, sb *process.Sandbox) *neighbours {
	t.Helper()
	n := &neighbours{Pool: forkserver.NewPool(1 << 40), t: t, options: written(t, hostile, sb)}
	n.options.Spares = 1
	// Zygotes share pages, so the first takes more than the next.
	fit, measured := int64(0), []*forkserver.Runner{}
	for range access {
		measured = append(measured, n.prepared())
		fit = n.Memory()
	}
	measured = append(measured, n.prepared())
	all := n.Memory()
	if one := all - fit; one < 2<<20 || fit < 4<<20 || all > 1<<30 {
		t.Fatalf("%d zygotes take %d bytes, one more makes it %d", access, fit, all)
	}
	for _, r := range measured {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n.Memory() != 0 || n.Zygotes() != 0 {
		t.Errorf("%d bytes of %d zygotes when all have ended", n.Memory(), n.Zygotes())
	}
	n.Pool = forkserver.NewPool((fit + all) / 2)
	t.Cleanup(n.close)
	return n
}

// prepared is one more service, warm.
func (n *neighbours) prepared() *forkserver.Runner {
	n.t.Helper()
	r := n.cold()
	n.prepare(r)
	return r
}

func (n *neighbours) cold() *forkserver.Runner {
	n.options.Pool = n.Pool
	r := forkserver.NewRunner(n.options)
	n.runners = append(n.runners, r)
	return r
}

func (n *neighbours) prepare(r *forkserver.Runner) {
	n.t.Helper()
	if err := r.Program().Prepare(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	state := r.Program().State()
	if !state.Warm {
		n.t.Fatalf("%+v", state)
	}
	n.pids = append(n.pids, state.Pid)
}

func (n *neighbours) close() {
	for _, r := range n.runners {
		if err := r.Close(); err != nil {
			n.t.Error(err)
		}
	}
	for _, pid := range n.pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			n.t.Errorf("zygote %d is still there: %v", pid, err)
		}
	}
}

func (n *neighbours) succeeds(r *forkserver.Runner) {
	n.t.Helper()
	if got := do(n.t, r, "out['did'] = 'it'"); got.outcome != (runner.Outcome{}) || got.value["did"] != "it" {
		n.t.Errorf("%+v %v %s", got.outcome, got.value, got.stderr)
	}
}

func warmOnes(runners ...*forkserver.Runner) (all []bool) {
	for _, r := range runners {
		all = append(all, r.Program().State().Warm)
	}
	return all
}

func TestPoolEndsTheLeastRecentlyUsed(t *testing.T) { each(t, testPoolEndsTheLeastRecentlyUsed) }

func testPoolEndsTheLeastRecentlyUsed(t *testing.T, sb *process.Sandbox) {
	n := newNeighbours(t, 2, sb)
	one, two := n.prepared(), n.prepared()
	n.succeeds(two)
	n.succeeds(one)
	three := n.prepared()
	if got := warmOnes(one, two, three); !got[0] || got[1] || !got[2] {
		t.Errorf("of three, where the second was not used for longest, these stay: %v", got)
	}
	if n.Zygotes() != 2 {
		t.Errorf("%d zygotes", n.Zygotes())
	}
	for range 3 {
		n.succeeds(three)
	}
	n.succeeds(one)
	n.succeeds(two) // cold: its new zygote is being made
	n.prepare(two)
	if got := warmOnes(one, two, three); !got[0] || !got[1] || got[2] {
		t.Errorf("then these stay: %v", got)
	}
	n.succeeds(two)
	got := two.Program().Stats()
	if got.Warm != 2 || got.Cold[forkserver.Preparing] != 1 || len(got.Cold) != 1 || got.Zygotes != 2 || got.Evicted != 1 {
		t.Errorf("%+v", got)
	}
}

func TestPoolSparesWhatRuns(t *testing.T) {
	n := newNeighbours(t, 1, nil)
	running, next := n.prepared(), n.cold()
	_, stop := victim(t, running, "")
	n.prepare(next)
	if got := warmOnes(running, next); !got[0] || !got[1] {
		t.Errorf("the zygote of an execution is ended while it runs, or the newest is: %v", got)
	}
	if outcome := stop(); !outcome.Stopped {
		t.Errorf("%+v", outcome)
	}
	if got := warmOnes(running, next); got[0] || !got[1] {
		t.Errorf("when the execution has ended, these stay: %v", got)
	}
	n.succeeds(next)
}

func TestPoolKeepsOne(t *testing.T) {
	n := newNeighbours(t, 1, nil)
	n.Pool = forkserver.NewPool(1)
	one, two := n.prepared(), n.prepared()
	if got := warmOnes(one, two); got[0] || !got[1] {
		t.Errorf("of two where there is room for none, these stay: %v", got)
	}
	n.succeeds(two)
}

// TestPoolUnderLoad has more services than there is room for run at once.
func TestPoolUnderLoad(t *testing.T) {
	n := newNeighbours(t, 2, nil)
	services := []*forkserver.Runner{n.cold(), n.cold(), n.cold()}
	var all sync.WaitGroup
	for _, r := range services {
		all.Go(func() {
			for range 8 {
				n.succeeds(r)
			}
		})
	}
	all.Wait()
	for _, r := range services {
		stats := r.Program().Stats()
		if stats.Warm+stats.Cold[forkserver.Preparing] != 8 {
			t.Errorf("%+v", stats)
		}
		if state := r.Program().State(); state.Reason != "" {
			t.Errorf("a service is cold for good: %s", state.Reason)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if n.Zygotes() != 0 || n.Memory() != 0 {
		t.Errorf("%d bytes of %d zygotes when all have ended", n.Memory(), n.Zygotes())
	}
}

// reported hands on the messages of a log.
type reported chan string

func (reported) Enabled(context.Context, slog.Level) bool { return true }
func (c reported) Handle(_ context.Context, r slog.Record) error {
	c <- r.Message
	return nil
}
func (c reported) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c reported) WithGroup(string) slog.Handler      { return c }

func TestIdleZygotesEnd(t *testing.T) {
	n := newNeighbours(t, 1, nil)
	messages := make(reported, 16)
	n.options.Idle, n.options.Logger = time.Millisecond, slog.New(messages)
	r := n.cold()
	if err := r.Program().Prepare(t.Context()); err != nil { // it is not used even once
		t.Fatal(err)
	}
	if got := <-messages; got != "ending an idle zygote" {
		t.Errorf("%q", got)
	}
	for r.Program().State().Warm { // it is told before it is noted
		runtime.Gosched()
	}
	if got := r.Program().Stats(); got.Zygotes != 1 || got.Idle != 1 {
		t.Errorf("%+v", got)
	}
	n.succeeds(r)
	if got := <-messages; got != "an execution starts cold" {
		t.Errorf("%q", got)
	}
}
