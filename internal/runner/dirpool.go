package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// maxFree is how many folders are kept for reuse.
const maxFree = 64

// DirPool hands out folders below one parent, and takes them back for reuse: for a
// short execution, a file system takes longer to make and remove them than all the
// rest takes. It is safe for concurrent use.
type DirPool struct {
	parent string

	mu     sync.Mutex
	free   []freeDir
	closed bool
	lost   []error // errors of folders that PutWhen took back

	parting sync.WaitGroup
}

// A freeDir is empty except for files that inputs may be written to.
type freeDir struct {
	Dir
	inputs []string
}

// NewDirPool gives out folders below parent.
func NewDirPool(parent string) *DirPool { return &DirPool{parent: parent} }

// Get returns a folder under a new name that holds these inputs and nothing else.
// See [Dir.WriteInputs].
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
	// A process that knew the former name cannot find the folder.
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

// Put takes a folder back from an execution that has no process left, and empties
// it. It removes a folder that differs from a new one.
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

// PutWhen is Put for an execution whose last process is about to end; gone is
// closed when it has ended. PutWhen removes the present files at once, and those
// that the process may still add when it has ended. Close waits for that, and
// returns its errors.
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

// Close removes the folders that are not in use. Those that are put back later
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
