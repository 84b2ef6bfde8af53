package memory_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/qhubctl/qhubctl/internal/memory"
)

func TestBudgetIsServedInOrder(t *testing.T) {
	t.Parallel()
	b := memory.NewBudget(10)
	first, err := b.Acquire(t.Context(), 8)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 2)
	large := make(chan func())
	waiting, cancel := context.WithCancel(t.Context())
	go func() {
		release, err := b.Acquire(t.Context(), 100) // the whole budget
		if err != nil {
			t.Error(err)
		}
		got <- "large"
		large <- release
	}()
	cancel()
	if _, err := b.Acquire(waiting, 9); !errors.Is(err, context.Canceled) {
		t.Errorf("Acquire(ended context) = %v, want context.Canceled", err)
	}
	first()
	first() // the second time changes nothing
	release := <-large
	if _, err := b.Acquire(waiting, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Acquire(beside one that has all) = %v, want context.Canceled", err)
	}
	release()
	last, err := b.Acquire(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	last()
}

func TestThriftIsPutBack(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	before := debug.SetGCPercent(321)
	defer debug.SetGCPercent(before)
	first, second := memory.Thrift(), memory.Thrift()
	first()
	first()
	if got := debug.SetGCPercent(40); got != 40 {
		t.Errorf("the percentage during thrift is %d, want 40", got)
	}
	second()
	if got := debug.SetGCPercent(321); got != 321 {
		t.Errorf("the percentage after thrift is %d, want 321", got)
	}
}

func TestAvailable(t *testing.T) {
	t.Parallel()
	const machine = "MemTotal:       2048 kB\nMemFree:  1 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing":        {nil, math.MaxInt64},
		"machine":        {map[string]string{"proc/meminfo": machine}, 2048 << 10},
		"group":          {map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1000\n"}, 1000},
		"group above":    {map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "2000\n"}, 2000},
		"own namespace":  {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "3000\n"}, 3000},
		"version 1":      {map[string]string{"proc/self/cgroup": "3:cpu:/x\n2:memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "4000\n"}, 4000},
		"larger than it": {map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "99999999999\n"}, 2048 << 10},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			file = filepath.Join(root, file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if got := memory.Available(root); got != c.want {
			t.Errorf("%s: Available = %d, want %d", name, got, c.want)
		}
	}
}
