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

// A disk that fills up refuses what does not fit, keeps what it has, and
// accepts again once there is room.
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
				t.Fatalf("an error of another kind: %v", err)
			}
			refused = id
			break
		}
		kept[id] = true
	}
	if refused == "" || len(kept) == 0 {
		t.Fatalf("the disk did not fill up: %d accepted", len(kept))
	}
	if _, err := s.Get(t.Context(), refused); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was refused is half there: %v", err)
	}
	load, err := s.QueueStats(t.Context())
	if err != nil || load.Pending != len(kept) {
		t.Errorf("%v, %d wait of %d accepted", err, load.Pending, len(kept))
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=32m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	if _, err := acceptOne(t, s, make([]byte, 20_000)); err != nil {
		t.Errorf("refused although there is room again: %v", err)
	}
	for id := range kept {
		if request, err := s.Request(t.Context(), id); err != nil || len(request) != 20_000 {
			t.Errorf("%v, %d bytes", err, len(request))
		}
	}
}
