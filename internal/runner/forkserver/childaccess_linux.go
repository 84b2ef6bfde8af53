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

// sandboxOf is the sandbox of a zygote; nil if there is none.
func sandboxOf(o Options) *process.Sandbox {
	sb := o.Sandbox.Around(o.Python, o.Dir)
	if sb == nil {
		return nil
	}
	p := &sb.Policy
	p.Readable = append(p.Readable, files(o.Python.Launcher)...)
	p.Forks = o.Scratch
	return sb
}

// aroundItself is the sandbox of the zygote's own process: the time that an
// execution may compute is not that of the process which all are forked from.
func aroundItself(sb *process.Sandbox) *process.Sandbox {
	if sb == nil {
		return nil
	}
	own := *sb
	own.Policy.Limits.CPUTime = 0
	return &own
}

// A childAccess is what an execution has of its own in the sandbox of a zygote.
type childAccess struct {
	// own are its folders, read what it alone may read, as they are outside.
	own, read []string
	// from and to are the folder of all of them, outside and inside.
	from, to string
	limits   sandbox.Limits
}

// childAccess makes room for an execution with this sandbox, or says why the
// zygote's cannot hold it.
func (z *zygote) childAccess(c *process.Sandbox) (*childAccess, error) {
	switch {
	case c == nil && z.sb == nil:
		return nil, nil //nolint:nilnil // there is none
	case c == nil || z.sb == nil:
		return nil, errors.New("the execution and the zygote are not sandboxed alike")
	}
	all := z.sb.Policy
	limits := c.Policy.Limits
	if limits.CPU > 0 && all.Limits.CPU == 0 || limits.CPUTime > 0 && all.Limits.CPUTime == 0 {
		return nil, errors.New("the forks of the zygote are in no group that bounds processors, or counts their time")
	}
	ca := &childAccess{
		from: all.Forks, to: z.sb.Machine.ShownAt(all), limits: limits,
	}
	for _, list := range []struct {
		paths, known []string
		to           *[]string
	}{
		{c.Policy.Writable, all.Writable, &ca.own},
		{c.Policy.Scratch, all.Scratch, &ca.own},
		{c.Policy.Inputs, all.Inputs, &ca.read},
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
			return nil, fmt.Errorf("%s is not to be seen in the sandbox of the zygote", path)
		default:
			ca.read = append(ca.read, path)
		}
	}
	return ca, nil
}

func below(path, dir string) bool {
	return dir != "" && strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// grant gives a fork what is to be its own, before it has its order.
func (ca *childAccess) grant(f *fork) error {
	if ca == nil {
		return nil
	}
	if f.rules != nil {
		if err := f.rules.Allow(ca.own, ca.read); err != nil {
			return fmt.Errorf("a fork cannot be given its folders: %w", err)
		}
	}
	return nil
}

// bounds are the limits that each process of the execution sets for itself: what
// setrlimit takes, softly and firmly.
func (ca *childAccess) bounds() [][3]int64 {
	bounds := [][3]int64{}
	if ca == nil {
		return bounds
	}
	if n := int64(ca.limits.OpenFiles); n > 0 {
		bounds = append(bounds, [3]int64{unix.RLIMIT_NOFILE, n, n})
	}
	if n := ca.limits.FileSize; n > 0 {
		bounds = append(bounds, [3]int64{unix.RLIMIT_FSIZE, n, n})
	}
	if n := int64(sandbox.CPUSeconds(ca.limits.CPUTime)); n > 0 {
		bounds = append(bounds, [3]int64{unix.RLIMIT_CPU, n, n + sandbox.PatienceCPU})
	}
	return bounds
}

// inside is a path as it is in the sandbox.
func (ca *childAccess) inside(path string) string {
	if ca == nil || path != ca.from && !below(path, ca.from) {
		return path
	}
	return filepath.Join(ca.to, strings.TrimPrefix(path, ca.from))
}

// A sharedTmp is the /tmp that all forks of a zygote have.
type sharedTmp struct {
	root *os.Root
	// before is what was there before the first fork, mounts among it.
	before map[string]bool
}

// openSharedTmp opens it, to be swept; nil where there is none.
func (z *zygote) openSharedTmp() *sharedTmp {
	if z.sb == nil || z.sb.Machine.ShownAt(z.sb.Policy) != sandbox.ForksAt {
		return nil
	}
	root, err := os.OpenRoot(fmt.Sprintf("/proc/%d/root/tmp", z.pid))
	if err != nil {
		return nil
	}
	c := &sharedTmp{root, map[string]bool{}}
	for _, name := range c.names() {
		c.before[name] = true
	}
	return c
}

func (c *sharedTmp) names() []string {
	dir, err := c.root.Open(".")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1) // what cannot be read now is swept next time
	return names
}

// sweep removes what executions have left in /tmp, when none runs.
func (z *zygote) sweep() {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.running--; z.running > 0 || z.sharedTmp == nil {
		return
	}
	for _, name := range z.sharedTmp.names() {
		if !z.sharedTmp.before[name] {
			_ = z.sharedTmp.root.RemoveAll(name)
		}
	}
}
