package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// TestFullDisk fills the disk of a store. The store refuses new executions,
// keeps the accepted ones, and accepts again once there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		t.Skipf("no small disk can be made here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	s := open(t, filepath.Join(disk, "store.db"), sqlite.Options{ScrubAfter: time.Hour})
	kept := map[execution.ID]bool{}
	var refused execution.ID
	for range 1000 {
		id, err := acceptOne(t, s, make([]byte, 20_000))
		if err != nil {
			if !errors.Is(err, store.ErrFull) {
				t.Fatalf("Accept(full disk) = %v, want ErrFull", err)
			}
			refused = id
			break
		}
		kept[id] = true
	}
	if refused == "" || len(kept) == 0 {
		t.Fatalf("the disk did not fill up: %d accepted, want some and then a refusal", len(kept))
	}
	if _, err := s.Get(t.Context(), refused); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get(the refused execution) = %v, want ErrNotFound", err)
	}
	load, err := s.QueueStats(t.Context())
	if err != nil || load.Pending != len(kept) {
		t.Errorf("QueueStats() = %d waiting executions, %v, want the %d accepted", load.Pending, err, len(kept))
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=32m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	if _, err := acceptOne(t, s, make([]byte, 20_000)); err != nil {
		t.Errorf("Accept(after there is room again) = %v, want nil", err)
	}
	for id := range kept {
		if request, err := s.Request(t.Context(), id); err != nil || len(request) != 20_000 {
			t.Errorf("Request() = %d bytes, %v, want 20,000", len(request), err)
		}
	}
}
