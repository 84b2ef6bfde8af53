package engine_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/execution"
)

// exhaust takes all descriptors that this process may have, and gives them back
// when giveBack is called, or when the test ends.
func exhaust(t *testing.T) (giveBack func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = min(before.Cur, 512)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var taken []*os.File
	giveBack = func() {
		for _, file := range taken {
			_ = file.Close()
		}
		taken = nil
	}
	t.Cleanup(func() {
		giveBack()
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
	for {
		file, err := os.Open(os.DevNull)
		if errors.Is(err, syscall.EMFILE) {
			return giveBack
		}
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, file)
	}
}

// awaitWaiting returns when something has waited for descriptors since before.
func awaitWaiting(t *testing.T, before int64) {
	t.Helper()
	for deadline := time.Now().Add(patience); descriptors.Waits() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing has waited for descriptors")
		}
	}
}

// TestExecutionsWaitForDescriptors starts executions where there are no
// descriptors, and has one end there: they wait, and none fails.
func TestExecutionsWaitForDescriptors(t *testing.T) {
	s := serveProbe(t)
	s.run(action("nothing")) // so that the store has opened its files

	before := descriptors.Waits()
	giveBack := exhaust(t)
	ids := []execution.ID{
		s.submit(action("return").with("text", "a")), s.submit(action("return").with("text", "b")), s.submit(action("fill").with("number", 10)),
	}
	awaitWaiting(t, before)
	giveBack()
	for _, id := range ids {
		if e := s.wait(id); e.Status != execution.Succeeded {
			t.Errorf("an execution that started without descriptors is %s, want SUCCEEDED: %+v", e.Status, e.Problem)
		}
	}

	path, _ := pipe(t)
	id := s.submit(action("hold").with("text", path))
	held, err := os.OpenFile(path, os.O_WRONLY, 0) // once the service reads
	if err != nil {
		t.Fatal(err)
	}
	before = descriptors.Waits()
	giveBack = exhaust(t)
	if err := held.Close(); err != nil { // the service reads to the end
		t.Fatal(err)
	}
	taken, err := os.Open(os.DevNull) // the one that came free
	if err != nil {
		t.Fatal(err)
	}
	awaitWaiting(t, before)
	giveBack()
	_ = taken.Close()
	if e := s.wait(id); e.Status != execution.Succeeded {
		t.Errorf("an execution that ended without descriptors is %s, want SUCCEEDED: %+v", e.Status, e.Problem)
	}
	if r := s.result(id); r.Kind == "" {
		t.Error("an execution that ended without descriptors has no result")
	}
}
