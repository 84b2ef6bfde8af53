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

// exhaust lets this process open nothing more, also after it has closed files, until
// giveBack is called, or the test ends.
func exhaust(t *testing.T) (giveBack func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 3 // the standard streams, which stay open
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	giveBack = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(giveBack)
	if file, err := os.Open(os.DevNull); !errors.Is(err, syscall.EMFILE) {
		_ = file.Close()
		t.Fatalf("Open(without descriptors) = %v, want EMFILE", err)
	}
	return giveBack
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
	awaitWaiting(t, before)
	giveBack()
	if e := s.wait(id); e.Status != execution.Succeeded {
		t.Errorf("an execution that ended without descriptors is %s, want SUCCEEDED: %+v", e.Status, e.Problem)
	}
	if r := s.result(id); r.Kind == "" {
		t.Error("an execution that ended without descriptors has no result")
	}
}
