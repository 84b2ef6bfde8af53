//go:build unix

package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

// shortLease makes an engine take over soon.
func shortLease(c *engine.Config) {
	c.Lease, c.Poll = time.Second, 100*time.Millisecond
}

// beVictim is a server on a folder that gets requests from several callers
// until it is killed, and says which ones it has accepted.
func beVictim(dir string) {
	ctx := context.Background()
	// So few at once that a queue builds up.
	s, err := open(ctx, dir, shortLease, func(c *engine.Config) { c.Workers = 2 })
	if err == nil {
		var described *signature.Signature
		described, err = signature.Parse([]byte(probeDocument))
		if err == nil {
			err = s.probe().Activate(&engine.Revision{ID: "1", Signature: described, Runner: probeRunner()})
		}
	}
	failed := make(chan error, 1)
	if err != nil {
		failed <- err
	}
	request := action("note").with("text", recordsOf(dir)).token(secretValue).json()
	if len(os.Args) > 2 {
		request = action(os.Args[2]).json()
		if _, err := s.probe().Submit(ctx, engine.Submission{Body: request}); err != nil {
			failed <- err
		}
	}
	for range 4 {
		if len(os.Args) > 2 {
			break
		}
		go func() {
			for {
				accepted, err := s.probe().Submit(ctx, engine.Submission{Body: append([]byte(nil), request...)})
				if err != nil {
					failed <- err
					return
				}
				fmt.Printf("accepted %s\n", accepted.Execution.ID)
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	fmt.Fprintln(os.Stderr, <-failed)
	os.Exit(1)
}

// recordsOf is the file in which each execution leaves its id.
func recordsOf(dir string) string { return filepath.Join(dir, "notes") }

// runVictim runs a victim, kills it hard after so many requests, and gives the
// ids that it has accepted.
func runVictim(t *testing.T, dir string, requests int) []execution.ID {
	t.Helper()
	victim := exec.CommandContext(t.Context(), os.Args[0], dir)
	victim.Env = append(os.Environ(), roleVariable+"="+asVictim)
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var accepted []execution.ID
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "accepted "); ok && len(id) == 36 {
			accepted = append(accepted, execution.ID(id))
		}
		if len(accepted) == requests {
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var killed *exec.ExitError
	if err := victim.Wait(); !errors.As(err, &killed) || killed.ExitCode() != -1 {
		t.Fatalf("Wait(victim) = %v, want killed by a signal", err)
	}
	return accepted
}

// A server may be killed at any moment: every execution that it has accepted
// reaches an end, none runs twice, and none that is said to have succeeded has
// not run.
func TestKilledServers(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it kills servers for some seconds")
	}
	t.Parallel()
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var accepted []execution.ID
	for range 4 {
		accepted = append(accepted, runVictim(t, dir, 1+random.IntN(200))...)
	}
	// The last one dies beside a server that goes on.
	heir := serve(t, dir, shortLease)
	heir.set(probeService(t))
	accepted = append(accepted, runVictim(t, dir, 1+random.IntN(200))...)

	records := map[string]int{}
	ends := map[execution.Status]int{}
	ended := map[execution.ID]execution.Execution{}
	for _, id := range accepted {
		e := heir.wait(id)
		ended[id] = e
		ends[e.Status]++
	}
	text, err := os.ReadFile(recordsOf(dir))
	if err != nil {
		t.Fatal(err)
	}
	for id := range strings.Lines(string(text)) {
		records[strings.TrimSpace(id)]++
	}
	for id, e := range ended {
		ran := records[string(id)]
		switch {
		case ran > 1:
			t.Errorf("%s ran %d times, want at most once", id, ran)
		case e.Status == execution.Succeeded && ran != 1:
			t.Errorf("%s is SUCCEEDED and ran %d times, want once", id, ran)
		case e.Status == execution.Failed && (e.Problem == nil || e.Problem.Type != execution.TypeInterrupted):
			t.Errorf("%s is FAILED with %v, want %s", id, e.Problem, execution.TypeInterrupted)
		case e.Status == execution.Cancelled:
			t.Errorf("%s is CANCELLED, want it not cancelled: no caller did that", id)
		}
	}
	t.Logf("%d accepted: %v", len(accepted), ends)
	if ends[execution.Succeeded] == 0 {
		t.Error("no execution is SUCCEEDED, want some")
	}
	// An execution ends even if the server died before it answered the caller.
	heir.awaitLoad(store.ServiceStats{})
	heir.recoveredDirs(t) // first: nothing is removed while the next line reads
	noneHolds(t, dir, secretValue)
}

// recoveredDirs waits until only the work folder of the living server is left.
func (s *server) recoveredDirs(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		left, err := filepath.Glob(filepath.Join(s.dir, "work", "*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the work folders are %v, want that of the living server only", left)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A child that a service of a killed server has started, and that has left the
// service's group, ends when another server takes over; so does its folder.
func TestOrphansOfKilledServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	heir := serve(t, dir, shortLease) // without the service: it runs nothing itself
	victim := exec.CommandContext(t.Context(), os.Args[0], dir, "child")
	victim.Env = append(os.Environ(), roleVariable+"="+asVictim)
	victim.Stderr = os.Stderr
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	id, child := heir.awaitChild()
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	if e := heir.wait(id); e.Status != execution.Failed || e.Problem.Type != execution.TypeInterrupted {
		t.Errorf("the execution of the dead server is %s: %v, want FAILED with %s", e.Status, e.Problem, execution.TypeInterrupted)
	}
	heir.recoveredDirs(t)
	deadline := time.Now().Add(patience)
	for runsMarked(child, id) { // the end is known a moment before
		if time.Now().After(deadline) {
			t.Fatalf("process %s still runs, want it killed", child)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// runsMarked reports whether a process of an execution runs. One that has
// ended and waits to be reaped shows no environment.
func runsMarked(pid string, id execution.ID) bool {
	environ, err := os.ReadFile(filepath.Join("/proc", pid, "environ"))
	return err == nil && strings.Contains(string(environ), string(id))
}

// awaitChild waits until an execution that another server runs has started a
// child.
func (s *server) awaitChild() (execution.ID, string) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		page, err := s.probe().List(s.t.Context(), store.ListQuery{ServiceID: serviceID})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range page.Executions {
			if _, child, ok := strings.Cut(s.text(e.ID), "ready "); ok {
				return e.ID, strings.TrimSpace(child)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Fatal("no child was started")
	return "", ""
}

// Orphans are known by their tag, all of it.
func TestTagsOfOrphans(t *testing.T) {
	t.Parallel()
	id := execution.NewID()
	orphan := exec.CommandContext(t.Context(), "sleep", "600")
	orphan.Env = []string{"QHUBCTL_EXECUTION=" + string(id)}
	other := exec.CommandContext(t.Context(), "sleep", "600")
	other.Env = []string{"QHUBCTL_EXECUTION=" + string(id) + "-not"}
	for _, c := range []*exec.Cmd{orphan, other} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	process.KillOrphans(string(id))
	if err := orphan.Wait(); err == nil {
		t.Error("the orphan exited with 0, want it killed")
	}
	if err := other.Process.Kill(); err != nil {
		t.Errorf("Kill(process of another execution) = %v, want it still running", err)
	}
	_ = other.Wait()
}
