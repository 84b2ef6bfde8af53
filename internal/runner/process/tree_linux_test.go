package process

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestNumbersSinceAStart: for a short while, numbers show which processes may be orphans.
func TestNumbersSinceAStart(t *testing.T) {
	began := time.Now()
	first := exec.CommandContext(t.Context(), "true")
	if err := first.Run(); err != nil {
		t.Fatal(err)
	}
	pid := first.Process.Pid
	if got := givenSince(pid, began); got != all && (got.first != pid || got.last < pid) {
		t.Errorf("givenSince(%d) = %+v, want numbers from there on", pid, got)
	}
	if got := givenSince(pid, began.Add(-2*turn)); got != all {
		t.Errorf("givenSince(a long time ago) = %+v, want all", got)
	}
	// A number that is yet to come belongs to an earlier round.
	if got := givenSince(os.Getpid()+1<<30, time.Now()); got != all {
		t.Errorf("givenSince(the highest number) = %+v, want all", got)
	}
}
