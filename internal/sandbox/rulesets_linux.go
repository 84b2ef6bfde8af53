package sandbox

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Ruleset keeps the executions apart that a command forks in its
// sandbox (see [Policy].Forks), by Landlock: each puts [ForkRules] in force for
// itself.
type Ruleset struct {
	handled unix.LandlockRulesetAttr
	// rules are the same for all. The folders of an execution are added, with
	// the accesses own, and what it alone may read with read, of which those
	// in file can be said of a file.
	rules           []rule
	own, read, file uint64
}

// A rule allows accesses below a path.
type rule struct {
	path   string
	access uint64
	place  *os.File // the path as it is in the sandbox; nil: nothing is there
}

// Paths are what all executions may see. Open takes them as they are in the
// sandbox.
func (r *Ruleset) Paths() []string {
	paths := make([]string, len(r.rules))
	for i, rule := range r.rules {
		paths[i] = rule.path
	}
	return paths
}

// Open takes the places of some of the paths, by their indices.
func (r *Ruleset) Open(indices []int, places []*os.File) error {
	taken := 0
	defer func() { closeFiles(places[taken:]) }()
	if len(indices) != len(places) {
		return errors.New("a zygote shows other places than it says")
	}
	for i, index := range indices {
		if index < 0 || index >= len(r.rules) || r.rules[index].place != nil {
			return errors.New("a zygote shows places that nobody has asked for")
		}
		r.rules[index].place = places[i]
		taken++
	}
	return nil
}

func closeFiles(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}

// Close gives the places back.
func (r *Ruleset) Close() {
	for _, rule := range r.rules {
		if rule.place != nil {
			_ = rule.place.Close()
		}
	}
}

// ForkRules are what one execution puts in force: a ruleset of the kernel, which it
// is handed as a descriptor.
type ForkRules struct {
	File    *os.File
	ruleset *Ruleset
}

// ForkRules makes rules that allow what all executions may see.
func (r *Ruleset) ForkRules() (*ForkRules, error) {
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET,
		uintptr(unsafe.Pointer(&r.handled)), unsafe.Sizeof(r.handled), 0) //nolint:gosec // the system call takes a pointer
	if errno != 0 {
		return nil, fmt.Errorf("cannot make a ruleset: %w", errno)
	}
	w := &ForkRules{os.NewFile(fd, "ruleset"), r}
	for _, rule := range r.rules {
		if rule.place == nil {
			continue
		}
		// Fd may be used: a place is no socket whose mode would change by it.
		if err := w.allow(rule.access, int(rule.place.Fd())); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", rule.path, err), w.File.Close())
		}
	}
	return w, nil
}

// Allow adds what is the execution's own: folders to work in, and what it alone
// may read.
func (w *ForkRules) Allow(own, read []string) error {
	for _, path := range own {
		if err := w.allowPath(w.ruleset.own, path); err != nil {
			return err
		}
	}
	for _, path := range read {
		if err := w.allowPath(w.ruleset.read, path); err != nil {
			return err
		}
	}
	return nil
}

func (w *ForkRules) allowPath(access uint64, path string) error {
	place, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = unix.Close(place) }()
	var info unix.Stat_t
	if err := unix.Fstat(place, &info); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if info.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= w.ruleset.file
	}
	if err := w.allow(access, place); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (w *ForkRules) allow(access uint64, place int) error {
	attr := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(place)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, w.File.Fd(), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&attr)), 0, 0, 0) //nolint:gosec // the system call takes a pointer
	if errno != 0 {
		return fmt.Errorf("cannot allow it: %w", errno)
	}
	return nil
}
