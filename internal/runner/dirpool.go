package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// maxFree is how many folders are kept to be used again.
const maxFree = 64

// DirPool gives out folders below one parent, and takes them back to be used
// again: making and removing them anew for each execution takes a file system
// longer than all else that is done for a short one. It is safe for concurrent
// use.
type DirPool struct {
	parent string

	mu     sync.Mutex
	free   []freeDir
	closed bool
	lost   []error // of folders given back by GiveWhen

	parting sync.WaitGroup
}

// A freeDir is empty but for files that inputs may be written to.
type freeDir struct {
	Dir
	inputs []string
}

// NewDirPool gives out folders below parent.
func NewDirPool(parent string) *DirPool { return &DirPool{parent: parent} }

// Get gives a folder under a name of its own that holds these inputs and
// nothing else. See [Dir.WriteInputs].
func (p *DirPool) Get(inputs map[string]json.RawMessage) (Dir, error) {
	p.mu.Lock()
	var f freeDir
	if n := len(p.free); n > 0 {
		f, p.free = p.free[n-1], p.free[:n-1]
	}
	p.mu.Unlock()
	if f.root == "" {
		return newWithInputs(p.parent, inputs)
	}
	// Nobody who knew it finds it again.
	root := newRoot(p.parent)
	if err := os.Rename(f.root, root); err != nil {
		return Dir{}, errors.Join(fmt.Errorf("cannot make a folder for the execution: %w", err), f.Remove())
	}
	f.root = root
	if err := f.writeInputs(inputs, f.inputs); err != nil {
		return Dir{}, errors.Join(err, f.Remove())
	}
	return f.Dir, nil
}

func newWithInputs(parent string, inputs map[string]json.RawMessage) (Dir, error) {
	f, err := NewDir(parent)
	if err != nil {
		return f, err
	}
	if err := f.WriteInputs(inputs); err != nil {
		return Dir{}, errors.Join(err, f.Remove())
	}
	return f, nil
}

// Put takes a folder back from an execution of which no process is left, and
// empties it. One that does not look as if it were new is removed.
func (p *DirPool) Put(f Dir) error {
	inputs, ok := f.reset()
	if !ok {
		return f.Remove()
	}
	p.mu.Lock()
	keep := !p.closed && len(p.free) < maxFree
	if keep {
		p.free = append(p.free, freeDir{f, inputs})
	}
	p.mu.Unlock()
	if !keep {
		return f.Remove()
	}
	return nil
}

// PutWhen is Put for an execution whose last process is about to end, which
// gone tells. What is there is removed at once, and what the process may still
// add when it is gone. Close waits for that, and returns what goes wrong then.
func (p *DirPool) PutWhen(gone <-chan struct{}, f Dir) error {
	if _, ok := f.reset(); !ok {
		<-gone
		return p.Put(f)
	}
	p.parting.Go(func() {
		<-gone
		if err := p.Put(f); err != nil {
			p.mu.Lock()
			p.lost = append(p.lost, err)
			p.mu.Unlock()
		}
	})
	return nil
}

// Close removes the folders that nobody has. Those that are given back later
// are removed, too.
func (p *DirPool) Close() error {
	p.parting.Wait()
	p.mu.Lock()
	free, errs := p.free, p.lost
	p.free, p.lost, p.closed = nil, nil, true
	p.mu.Unlock()
	for _, f := range free {
		errs = append(errs, f.Remove())
	}
	return errors.Join(errs...)
}
