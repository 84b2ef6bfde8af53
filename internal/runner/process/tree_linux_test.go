package process

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// Which processes may be orphans is known by their numbers for a short while.
func TestNumbersSinceAStart(t *testing.T) {
	began := time.Now()
	first := exec.CommandContext(t.Context(), "true")
	if err := first.Run(); err != nil {
		t.Fatal(err)
	}
	pid := first.Process.Pid
	if got := givenSince(pid, began); got != all && (got.first != pid || got.last < pid) {
		t.Errorf("after %d: %+v", pid, got)
	}
	if got := givenSince(pid, began.Add(-2*turn)); got != all {
		t.Errorf("after a long time: %+v", got)
	}
	// Of a number that is still to come, the turn must have ended.
	if got := givenSince(os.Getpid()+1<<30, time.Now()); got != all {
		t.Errorf("after the highest number: %+v", got)
	}
}
