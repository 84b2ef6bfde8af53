package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

const crashService = "crash"

// beVictim accepts, claims, starts and finishes until it is killed. It prints
// each step after it is done, so each printed step must have survived.
func beVictim(path string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	for range 8 {
		go func() {
			for {
				e := execution.Execution{ID: execution.NewID(), ServiceID: crashService, Type: execution.Managed}
				if _, err := s.Accept(ctx, store.NewExecution{Execution: e, Request: []byte("{}")}); err != nil {
					failed <- err
					return
				}
				fmt.Printf("accepted %s\n", e.ID)
			}
		}()
	}
	go func() { failed <- produce(ctx, s) }()
	return <-failed
}

func produce(ctx context.Context, s store.Store) error {
	for i := 0; ; i++ {
		claimed, err := s.Claim(ctx, store.ClaimRequest{
			Owner: "victim", Lease: time.Minute, Max: 1, Services: []store.ServiceLimit{{ServiceID: crashService}},
		})
		if err != nil {
			return err
		}
		for _, c := range claimed {
			id := c.Execution.ID
			if i%3 == 0 {
				continue // stays claimed
			}
			if _, err := s.Start(ctx, id, "victim"); err != nil {
				return err
			}
			fmt.Printf("started %s\n", id)
			if i%3 == 1 {
				continue // stays running
			}
			c := store.FinishParams{ID: id, Owner: "victim", Status: execution.Succeeded}
			if _, err := s.Finish(ctx, c); err != nil {
				return err
			}
			fmt.Printf("finished %s\n", id)
		}
	}
}

// runVictim runs the victim until it has printed so many lines, kills it with
// SIGKILL, and returns the last step that it printed of each execution.
func runVictim(t *testing.T, path string, lines int) map[execution.ID]string {
	t.Helper()
	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = []string{victimVariable + "=" + path, "TMPDIR=" + t.TempDir()}
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	said := map[execution.ID]string{}
	rank := map[string]int{"accepted": 1, "started": 2, "finished": 3}
	read := bufio.NewScanner(out)
	for n := 0; read.Scan(); n++ {
		if n == lines {
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		step, id, ok := strings.Cut(read.Text(), " ")
		if ok && len(id) == 36 && rank[step] > rank[said[execution.ID(id)]] {
			said[execution.ID(id)] = step
		}
	}
	if err := victim.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the victim ended with %v, want it killed", err)
	}
	return said
}

// TestTakeOverAfterKill has a second process on the same folder take over from
// one that is killed at any moment: it loses no accepted execution, and starts
// none twice.
func TestTakeOverAfterKill(t *testing.T) {
	t.Parallel()
	for _, lines := range []int{1, 50, 400} {
		t.Run(fmt.Sprintf("after %d steps", lines), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store.db")
			// The heir is open all the time. Leases are by the clock, so its clock is
			// ahead of the victim's and it sees the leases end.
			heir := open(t, path, sqlite.Options{Now: func() time.Time { return time.Now().Add(2 * time.Minute) }})
			said := runVictim(t, path, lines)
			if len(said) == 0 {
				t.Fatal("the victim did nothing")
			}
			recovery, err := heir.Recover(t.Context(), "heir")
			if err != nil {
				t.Fatal(err)
			}
			takeOver(t, heir, said, recovery)
		})
	}
}

func takeOver(t *testing.T, heir *sqlite.Store, said map[execution.ID]string, recovery store.Recovery) {
	t.Helper()
	for _, id := range recovery.Interrupted {
		if said[id] == "finished" {
			t.Errorf("%s had ended and Recover interrupted it, want it unchanged", id)
		}
	}
	inherited := map[execution.ID]bool{}
	for {
		claimed, err := heir.Claim(t.Context(), store.ClaimRequest{
			Owner: "heir", Lease: time.Hour, Max: 100, Services: []store.ServiceLimit{{ServiceID: crashService}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(claimed) == 0 {
			break
		}
		for _, c := range claimed {
			inherited[c.Execution.ID] = true
		}
	}
	for id, step := range said {
		e, err := heir.Get(t.Context(), id)
		if err != nil {
			t.Errorf("Get(%s, accepted) = %v, want the execution", id, err)
			continue
		}
		if step != "accepted" && inherited[id] {
			t.Errorf("%s was started and Recover put it back, want it to start once", id)
		}
		if step == "finished" && e.Status != execution.Succeeded {
			t.Errorf("%s had ended and is %s, want SUCCEEDED", id, e.Status)
		}
		if !inherited[id] && !e.Status.Final() {
			t.Errorf("%s is %s and no worker has it, want it final or claimed", id, e.Status)
		}
	}
	load, err := heir.QueueStats(t.Context())
	if err != nil || load.Pending != 0 || load.Active != len(inherited) {
		t.Errorf("QueueStats() = %+v, %v, want the %d inherited executions active", load, err, len(inherited))
	}
}
