package descriptors

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
	"testing"
)

func TestDivision(t *testing.T) {
	for _, test := range []struct {
		limit, connections, executions int
		warm                           bool
	}{
		{64, 8, 1, false}, {100, 36, 1, false}, {128, 64, 1, false}, {239, 119, 1, true}, {238, 119, 1, false}, {256, 128, 1, true},
		{1024, 512, 17, true}, {8192, 4096, 166, true}, {20_000, 4096, 658, true}, {math.MaxInt32, 4096, 89_478_310, true},
	} {
		if w := warm(test.limit); w != test.warm {
			t.Errorf("warm(%d) = %v, want %v", test.limit, w, test.warm)
		}
		if c, e := connections(test.limit), executions(test.limit); c != test.connections || e != test.executions {
			t.Errorf("with %d descriptors there are %d connections and %d executions, want %d and %d",
				test.limit, c, e, test.connections, test.executions)
		}
	}
}

func TestRetry(t *testing.T) {
	busy := &os.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}
	calls, before := 0, Waits()
	err := Retry(t.Context(), func() error {
		if calls++; calls < 3 {
			return fmt.Errorf("start: %w", busy)
		}
		return errors.ErrUnsupported
	})
	if calls != 3 || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Retry called its function %d times and returned %v, want 3 times and the last error", calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = Retry(ctx, func() error { cancel(); return syscall.ENFILE })
	if !Exhausted(err) {
		t.Errorf("Retry(ended context) = %v, want what its function returned", err)
	}
	if n := Waits() - before; n != 3 {
		t.Errorf("Waits() counted %d, want 3", n)
	}
	if Exhausted(nil) || Exhausted(syscall.EACCES) || !Exhausted(busy) {
		t.Error("Exhausted takes another error for a lack of descriptors, or none for one")
	}
}
