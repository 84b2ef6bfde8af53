package forkserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// shutIn is the cage of a template; nil if there is none.
func shutIn(o Options) *process.Cage {
	shut := o.Cage.Around(o.Python, o.Dir)
	if shut == nil {
		return nil
	}
	p := &shut.Policy
	p.Readable = append(p.Readable, files(o.Python.Launcher)...)
	p.Forks = o.Scratch
	return shut
}

// aroundItself is the cage of the template's own process: the time that an
// execution may compute is not that of the process which all are forked from.
func aroundItself(shut *process.Cage) *process.Cage {
	if shut == nil {
		return nil
	}
	own := *shut
	own.Policy.Limits.CPUTime = 0
	return &own
}

// An apartment is what an execution has of its own in the cage of a template.
type apartment struct {
	// own are its folders, read what it alone may read, as they are outside.
	own, read []string
	// from and to are the folder of all of them, outside and inside.
	from, to string
	limits   sandbox.Limits
}

// apartment makes room for an execution with this cage, or says why the
// template's cannot hold it.
func (t *template) apartment(c *process.Cage) (*apartment, error) {
	switch {
	case c == nil && t.shut == nil:
		return nil, nil //nolint:nilnil // there is none
	case c == nil || t.shut == nil:
		return nil, errors.New("the execution and the template are not shut in alike")
	}
	all := t.shut.Policy
	limits := c.Policy.Limits
	if limits.CPU > 0 && all.Limits.CPU == 0 || limits.CPUTime > 0 && all.Limits.CPUTime == 0 {
		return nil, errors.New("the forks of the template are in no group that bounds processors, or counts their time")
	}
	a := &apartment{
		from: all.Forks, to: t.shut.Machine.ShownAt(all), limits: limits,
	}
	for _, list := range []struct {
		paths, known []string
		to           *[]string
	}{
		{c.Policy.Writable, all.Writable, &a.own},
		{c.Policy.Scratch, all.Scratch, &a.own},
		{c.Policy.Given, all.Given, &a.read},
	} {
		for _, path := range list.paths {
			if slices.Contains(list.known, path) {
				continue
			}
			if !below(path, all.Forks) {
				return nil, fmt.Errorf("%s does not lie in %s", path, all.Forks)
			}
			*list.to = append(*list.to, path)
		}
	}
	for _, path := range c.Policy.Readable {
		shows := func(dir string) bool { return path == dir || below(path, dir) }
		switch {
		case slices.Contains(all.Readable, path):
		case !slices.ContainsFunc(all.Readable, shows), slices.ContainsFunc(all.Hidden, shows):
			return nil, fmt.Errorf("%s is not to be seen in the cage of the template", path)
		default:
			a.read = append(a.read, path)
		}
	}
	return a, nil
}

func below(path, dir string) bool {
	return dir != "" && strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// furnish gives a fork what is to be its own, before it has its order.
func (a *apartment) furnish(f *fork) error {
	if a == nil {
		return nil
	}
	if f.wall != nil {
		if err := f.wall.Allow(a.own, a.read); err != nil {
			return fmt.Errorf("a fork cannot be given its folders: %w", err)
		}
	}
	return nil
}

// bounds are the limits that each process of the execution sets for itself: what
// setrlimit takes, softly and firmly.
func (a *apartment) bounds() [][3]int64 {
	bounds := [][3]int64{}
	if a == nil {
		return bounds
	}
	if n := int64(a.limits.OpenFiles); n > 0 {
		bounds = append(bounds, [3]int64{unix.RLIMIT_NOFILE, n, n})
	}
	if n := a.limits.FileSize; n > 0 {
		bounds = append(bounds, [3]int64{unix.RLIMIT_FSIZE, n, n})
	}
	if n := int64(sandbox.CPUSeconds(a.limits.CPUTime)); n > 0 {
		bounds = append(bounds, [3]int64{unix.RLIMIT_CPU, n, n + sandbox.PatienceCPU})
	}
	return bounds
}

// inside is a path as it is in the cage.
func (a *apartment) inside(path string) string {
	if a == nil || path != a.from && !below(path, a.from) {
		return path
	}
	return filepath.Join(a.to, strings.TrimPrefix(path, a.from))
}

// A common is the /tmp that all forks of a template have.
type common struct {
	root *os.Root
	// before is what was there before the first fork, mounts among it.
	before map[string]bool
}

// openCommon opens it, to be swept; nil where there is none.
func (t *template) openCommon() *common {
	if t.shut == nil || t.shut.Machine.ShownAt(t.shut.Policy) != sandbox.ForksAt {
		return nil
	}
	root, err := os.OpenRoot(fmt.Sprintf("/proc/%d/root/tmp", t.pid))
	if err != nil {
		return nil
	}
	c := &common{root, map[string]bool{}}
	for _, name := range c.names() {
		c.before[name] = true
	}
	return c
}

func (c *common) names() []string {
	dir, err := c.root.Open(".")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1) // what cannot be read now is swept next time
	return names
}

// sweep removes what executions have left in /tmp, when none runs.
func (t *template) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running--; t.running > 0 || t.common == nil {
		return
	}
	for _, name := range t.common.names() {
		if !t.common.before[name] {
			_ = t.common.root.RemoveAll(name)
		}
	}
}
