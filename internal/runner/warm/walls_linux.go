package warm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/runner/cage"
	"github.com/qhubctl/qhubctl/internal/runner/process"
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

// An apartment is what an execution has of its own in the cage of a template,
// by the paths that are in force there.
type apartment struct {
	Own  []string `json:"own"`
	Read []string `json:"read"`
	// OpenFiles and FileSize are limits of each of its processes; 0 is none.
	OpenFiles int   `json:"openFiles"`
	FileSize  int64 `json:"fileSize"`
	// from and to are the folder of all of them, outside and inside.
	from, to string
	limits   cage.Limits
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
	if limits.CPU > 0 && all.Limits.CPU == 0 {
		return nil, errors.New("the forks of the template are in no group that bounds processors")
	}
	a := &apartment{
		Own: []string{}, Read: []string{}, OpenFiles: limits.OpenFiles, FileSize: limits.FileSize,
		from: all.Forks, to: t.shut.Machine.ShownAt(all), limits: limits,
	}
	for _, list := range []struct {
		paths, known []string
		to           *[]string
	}{
		{c.Policy.Writable, all.Writable, &a.Own},
		{c.Policy.Scratch, all.Scratch, &a.Own},
		{c.Policy.Given, all.Given, &a.Read},
	} {
		for _, path := range list.paths {
			if slices.Contains(list.known, path) {
				continue
			}
			if !below(path, all.Forks) {
				return nil, fmt.Errorf("%s does not lie in %s", path, all.Forks)
			}
			*list.to = append(*list.to, a.inside(path))
		}
	}
	for _, path := range c.Policy.Readable {
		shows := func(dir string) bool { return path == dir || below(path, dir) }
		switch {
		case slices.Contains(all.Readable, path):
		case !slices.ContainsFunc(all.Readable, shows), slices.ContainsFunc(all.Hidden, shows):
			return nil, fmt.Errorf("%s is not to be seen in the cage of the template", path)
		default:
			a.Read = append(a.Read, path)
		}
	}
	return a, nil
}

func below(path, dir string) bool {
	return dir != "" && strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
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
	if t.shut == nil || t.shut.Machine.ShownAt(t.shut.Policy) != cage.ForksAt {
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
