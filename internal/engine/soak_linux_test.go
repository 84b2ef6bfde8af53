package engine_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Many callers at once all get their results, and nothing is left of them: no
// process, folder, descriptor or goroutine. It runs alone, as it counts what
// the whole program holds.
func TestManyCallersLeaveNothing(t *testing.T) {
	s := serveProbe(t)
	s.fleet(50) // descriptors and goroutines that are kept exist now
	descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()
	s.fleet(200)
	deadline := time.Now().Add(patience)
	for openDescriptors(t) > descriptors || runtime.NumGoroutine() > goroutines {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors and %d goroutines are left, want at most %d and %d",
				openDescriptors(t), runtime.NumGoroutine(), descriptors, goroutines)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if left := s.workDirs(); len(left) > 0 {
		t.Errorf("the folders %v are left, want none", left)
	}
}

// fleet runs this many callers at once, each with one request.
func (s *server) fleet(callers int) {
	s.t.Helper()
	inParallel(callers, callers, func() {
		id, err := s.trySubmit(action("fill").with("number", 100).token(secretValue))
		if err != nil {
			s.t.Error(err)
			return
		}
		e, err := s.probe().Wait(s.t.Context(), id)
		if err != nil || e.Status != execution.Succeeded {
			s.t.Errorf("Wait() = %s, %v: %v, want SUCCEEDED", e.Status, err, e.Problem)
		}
	})
	s.awaitLoad(store.ServiceStats{})
}

// openDescriptors counts the descriptors of this program, except those of the store,
// which opens a few connections when it needs them and keeps them.
func openDescriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, descriptor := range open {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", descriptor.Name()))
		if err == nil && !strings.Contains(target, "store.db") {
			n++
		}
	}
	return n
}
