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
	// One folder: each file would be a mount, and each fork has a copy of each mount.
	p.Readable = append(p.Readable, filepath.Dir(o.Python.Launcher))
	p.Forks = o.Scratch
	return sb
}

// aroundItself is the sandbox of the zygote's process: the limit of computing time
// is for an execution, not for the process that all are forked from.
func aroundItself(sb *process.Sandbox) *process.Sandbox {
	if sb == nil {
		return nil
	}
	own := *sb
	own.Policy.Limits.CPUTime = 0
	return &own
}

// A childAccess is the part of a zygote's sandbox that belongs to one execution.
type childAccess struct {
	separation *sandbox.Separation
	// folder is the execution's, below that of all of them; temp its TMPDIR.
	// readable and writable are the folders in it that it reads and writes, relative
	// to it.
	folder, all, temp  string
	readable, writable []string
	limits             sandbox.Limits
	// remount are options for temporary files other than those of the zygote.
	remount string
}

// childAccess grants an execution its part of the sandbox, or says why the zygote's
// sandbox cannot hold it.
func (z *zygote) childAccess(c *process.Sandbox) (*childAccess, error) {
	switch {
	case c == nil && z.sb == nil:
		return nil, nil //nolint:nilnil // there is none
	case c == nil || z.sb == nil:
		return nil, errors.New("the execution and the zygote are not sandboxed alike")
	}
	all, own := z.sb.Policy, c.Policy
	if own.Limits.CPU > 0 && all.Limits.CPU == 0 || own.Limits.CPUTime > 0 && all.Limits.CPUTime == 0 {
		return nil, errors.New("the forks of the zygote are in no group that bounds processors, or counts their time")
	}
	ca := &childAccess{separation: z.separation, all: all.Forks, limits: own.Limits}
	if options := sandbox.TempOptions(own.Limits.Temp); options != sandbox.TempOptions(all.Limits.Temp) {
		ca.remount = options
	}
	if err := ca.place(own); err != nil {
		return nil, err
	}
	for _, shown := range own.Shown {
		if !slices.Contains(all.Shown, shown) {
			return nil, fmt.Errorf("%s is not to be seen in the sandbox of the zygote", shown.At)
		}
	}
	for _, path := range own.Readable {
		shows := func(dir string) bool { return path == dir || below(path, dir) }
		if !slices.ContainsFunc(all.Readable, shows) ||
			!slices.Contains(all.Readable, path) && slices.ContainsFunc(all.Hidden, shows) {
			return nil, fmt.Errorf("%s is not to be seen in the sandbox of the zygote", path)
		}
	}
	return ca, nil
}

// place finds the one folder that holds all folders of the execution.
func (ca *childAccess) place(p sandbox.Policy) error {
	if len(p.Writable) == 0 {
		return errors.New("the execution has no folder")
	}
	ca.folder = filepath.Dir(p.Writable[0])
	for _, path := range slices.Concat(p.Writable, p.Inputs, p.Scratch) {
		if !below(path, ca.folder) || !below(path, ca.all) {
			return fmt.Errorf("%s does not lie in the folder of the execution in %s", path, ca.all)
		}
	}
	for _, path := range p.Inputs {
		ca.readable = append(ca.readable, strings.TrimPrefix(path, ca.folder+"/"))
	}
	for _, path := range p.Writable {
		ca.writable = append(ca.writable, strings.TrimPrefix(path, ca.folder+"/"))
	}
	for _, path := range p.Scratch {
		if path != p.Home {
			ca.temp = path
		}
	}
	return nil
}

// order is the part of the fork's order about its folder.
func (ca *childAccess) order() map[string]any {
	return map[string]any{"name": strings.TrimPrefix(ca.folder, ca.all+"/"), "writable": ca.writable, "temp": ca.remount}
}

// hand gives the folder to the fork's user; see [sandbox.Separation.Hand].
func (ca *childAccess) hand(user uint32) ([]*os.File, error) {
	return ca.separation.Hand(ca.folder, ca.readable, ca.writable, user)
}

func below(path, dir string) bool {
	return dir != "" && strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// bounds are the limits that each process of the execution sets for itself: number,
// soft limit and hard limit for setrlimit.
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

// inside is a path inside the sandbox.
func (ca *childAccess) inside(path string) string {
	switch {
	case ca == nil:
		return path
	case path == ca.temp:
		return sandbox.TempAt
	case below(path, ca.folder):
		return filepath.Join(sandbox.FolderAt, strings.TrimPrefix(path, ca.folder))
	default:
		return path
	}
}
