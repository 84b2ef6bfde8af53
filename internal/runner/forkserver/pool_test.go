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

// neighbours are services that share a pool with room for so many of them, and not for
// one more. The test closes them, and none of their processes stays.
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
		t.Fatalf("%d zygotes take %d bytes, with one more %d, want a plausible size", access, fit, all)
	}
	for _, r := range measured {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n.Memory() != 0 || n.Zygotes() != 0 {
		t.Errorf("%d bytes of %d zygotes after all have ended, want none", n.Memory(), n.Zygotes())
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
		n.t.Fatalf("the service is %+v, want warm", state)
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
			n.t.Errorf("zygote %d still exists (%v), want its end", pid, err)
		}
	}
}

func (n *neighbours) succeeds(r *forkserver.Runner) {
	n.t.Helper()
	if got := do(n.t, r, "out['did'] = 'it'"); got.outcome != (runner.Outcome{}) || got.value["did"] != "it" {
		n.t.Errorf("an execution ends %+v with %v, want success\n%s", got.outcome, got.value, got.stderr)
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
		t.Errorf("of three, %v are warm, want the second, least recently used one cold", got)
	}
	if n.Zygotes() != 2 {
		t.Errorf("%d zygotes, want 2", n.Zygotes())
	}
	for range 3 {
		n.succeeds(three)
	}
	n.succeeds(one)
	n.succeeds(two) // cold, while its new zygote is made
	n.prepare(two)
	if got := warmOnes(one, two, three); !got[0] || !got[1] || got[2] {
		t.Errorf("then %v are warm, want the third cold", got)
	}
	n.succeeds(two)
	got := two.Program().Stats()
	if got.Warm != 2 || got.Cold[forkserver.Preparing] != 1 || len(got.Cold) != 1 || got.Zygotes != 2 || got.Evicted != 1 {
		t.Errorf("the counts are %+v, want two warm starts and one while preparing", got)
	}
}

func TestPoolSparesWhatRuns(t *testing.T) {
	n := newNeighbours(t, 1, nil)
	running, next := n.prepared(), n.cold()
	_, stop := victim(t, running, "")
	n.prepare(next)
	if got := warmOnes(running, next); !got[0] || !got[1] {
		t.Errorf("%v are warm, want the one in use and the newest", got)
	}
	if outcome := stop(); !outcome.Stopped {
		t.Errorf("the execution ends %+v, want it stopped", outcome)
	}
	if got := warmOnes(running, next); got[0] || !got[1] {
		t.Errorf("after the execution %v are warm, want the newest alone", got)
	}
	n.succeeds(next)
}

func TestPoolKeepsOne(t *testing.T) {
	n := newNeighbours(t, 1, nil)
	n.Pool = forkserver.NewPool(1)
	one, two := n.prepared(), n.prepared()
	if got := warmOnes(one, two); got[0] || !got[1] {
		t.Errorf("of two without room %v are warm, want the newest alone", got)
	}
	n.succeeds(two)
}

// TestPoolUnderLoad runs more services at once than there is room for.
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
			t.Errorf("the counts are %+v, want 8 starts", stats)
		}
		if state := r.Program().State(); state.Reason != "" {
			t.Errorf("a service stays cold (%s), want it to recover", state.Reason)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if n.Zygotes() != 0 || n.Memory() != 0 {
		t.Errorf("%d bytes of %d zygotes after all have ended, want none", n.Memory(), n.Zygotes())
	}
}

// reported passes on the messages of a log.
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
	if err := r.Program().Prepare(t.Context()); err != nil { // no execution uses it
		t.Fatal(err)
	}
	if got := <-messages; got != "ending an idle zygote" {
		t.Errorf("the log has %q, want ending an idle zygote", got)
	}
	for r.Program().State().Warm { // the log has it before the state
		runtime.Gosched()
	}
	if got := r.Program().Stats(); got.Zygotes != 1 || got.Idle != 1 {
		t.Errorf("the counts are %+v, want one idle zygote", got)
	}
	n.succeeds(r)
	if got := <-messages; got != "an execution starts cold" {
		t.Errorf("the log has %q, want an execution starts cold", got)
	}
}
