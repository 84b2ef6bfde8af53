// Package memory bounds the memory that a server uses for large work.
package memory

import (
	"context"
	"os"
	"runtime/debug"
	"slices"
	"sync"
)

// A Budget is memory that large pieces of work share. Work waits for its part
// in the order in which it came. The zero value has none; make one with
// [NewBudget].
type Budget struct {
	size int64

	mu      sync.Mutex
	free    int64
	waiting []*waiter
}

type waiter struct {
	size  int64
	ready chan struct{}
}

// NewBudget makes a budget of so many bytes.
func NewBudget(size int64) *Budget { return &Budget{size: size, free: size} }

// Acquire waits for memory, for all of the budget if more is wanted, and
// collects garbage early until it is released. It fails when ctx ends.
func (b *Budget) Acquire(ctx context.Context, size int64) (release func(), err error) {
	size = min(size, b.size)
	w := &waiter{size: size, ready: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, w)
	b.serve()
	b.mu.Unlock()
	select {
	case <-w.ready:
	case <-ctx.Done():
		b.mu.Lock()
		defer b.mu.Unlock()
		if i := slices.Index(b.waiting, w); i >= 0 {
			b.waiting = slices.Delete(b.waiting, i, i+1)
		} else {
			b.free += size
		}
		b.serve() // later requests may be smaller
		return nil, context.Cause(ctx)
	}
	done := Thrift()
	return sync.OnceFunc(func() {
		done()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.free += size
		b.serve()
	}), nil
}

// serve grants memory to the first requests that fit. The caller holds the lock.
func (b *Budget) serve() {
	for len(b.waiting) > 0 && b.waiting[0].size <= b.free {
		b.free -= b.waiting[0].size
		close(b.waiting[0].ready)
		b.waiting = b.waiting[1:]
	}
}

// thrifty is the garbage that may exist while large work is in progress, in
// percent of the memory in use.
const thrifty = 40

var thrift struct {
	mu     sync.Mutex
	users  int
	before int
}

// Thrift makes the program collect garbage early until the returned function
// is called, unless GOGC is set.
func Thrift() (done func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	thrift.mu.Lock()
	defer thrift.mu.Unlock()
	if thrift.users++; thrift.users == 1 {
		thrift.before = debug.SetGCPercent(thrifty)
	}
	return sync.OnceFunc(func() {
		thrift.mu.Lock()
		defer thrift.mu.Unlock()
		if thrift.users--; thrift.users == 0 {
			debug.SetGCPercent(thrift.before)
		}
	})
}
