package engine_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A disk that fills up refuses new requests and loses results, but no
// execution: each one comes to an end once there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=3m,mode=0700"); err != nil {
		t.Skipf("no small disk can be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	s := serve(t, disk)
	s.set(probeService(t))
	before := s.run(action("return").with("text", "before"))
	large := s.run(action("fill").with("number", 64<<20))
	if large.Status != execution.Failed {
		t.Errorf("an execution with more output than the disk holds is %s, want FAILED", large.Status)
	}
	var accepted []execution.ID
	var refused error
	for range 1000 {
		b := action("return").with("text", string(make([]byte, 20_000)))
		a, err := s.probe().Submit(t.Context(), engine.Submission{Body: b.json()})
		if err != nil {
			refused = err
			break
		}
		accepted = append(accepted, a.Execution.ID)
	}
	if !errors.Is(refused, store.ErrFull) {
		t.Errorf("Submit(full disk) = %v, want %v", refused, store.ErrFull)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=128m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	for _, id := range accepted {
		if e := s.wait(id); e.Status == execution.Failed && e.Problem == nil {
			t.Errorf("%s is FAILED without a problem, want a reason", id)
		}
	}
	if e := s.run(action("return").with("text", "after")); e.Status != execution.Succeeded {
		t.Errorf("the execution after the disk has room again is %s: %+v, want SUCCEEDED", e.Status, e.Problem)
	}
	if string(s.result(before.ID).Value) == "" {
		t.Error("the earlier result is empty, want it kept")
	}
}
