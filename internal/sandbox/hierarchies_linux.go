package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// controllers are those that bound an execution as a whole, and one of version 1
// that only counts: version 2 always counts.
var controllers = []string{"memory", "pids", "cpu", accounting}

const accounting = "cpuacct"

// hierarchies are the cgroups this process is in: for each controller the
// folder of our own group, in which those of executions are made.
type hierarchies struct {
	v1 map[string]string
	// v2 is the folder of the unified hierarchy; empty if there is none that we
	// may write to.
	v2 string
	// in2 are the controllers that v2 gives to groups below ours.
	in2 []string
	// why gives, for a controller that is in neither, the reason.
	why map[string]string
}

func findHierarchies(unified bool) hierarchies {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	groups, _ := os.ReadFile("/proc/self/cgroup")
	return hierarchiesOf(string(mounts), string(groups), unified)
}

// hierarchiesOf finds them by the mounts and the groups of a process, as the
// kernel lists them.
func hierarchiesOf(mounts, groups string, unified bool) hierarchies {
	h := hierarchies{v1: map[string]string{}, why: map[string]string{}}
	for _, name := range controllers {
		h.why[name] = "this machine has no cgroups with it"
	}
	for line := range strings.Lines(groups) {
		// 4:memory:/where/we/are; the unified hierarchy has neither number nor name.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		for mount := range strings.Lines(mounts) {
			dir, ok := folderOf(fields[1], fields[2], mount)
			switch {
			case !ok:
			case fields[1] == "":
				h.addUnified(dir, unified)
			default:
				h.addVersion1(dir, strings.Split(fields[1], ","))
			}
		}
	}
	return h
}

// folderOf is where the group at path in the hierarchy of some controllers is
// to be found below a mount, given as a line of mountinfo. There is a library
// for that, but its initialisation delays every shim.
func folderOf(of, path, mount string) (string, bool) {
	before, after, ok := strings.Cut(mount, " - ")
	here, there := strings.Fields(before), strings.Fields(after)
	if !ok || len(here) < 5 || len(there) < 3 {
		return "", false
	}
	if of == "" {
		ok = there[0] == "cgroup2"
	} else {
		options := strings.Split(there[2], ",")
		ok = there[0] == "cgroup"
		for name := range strings.SplitSeq(of, ",") {
			ok = ok && slices.Contains(options, name)
		}
	}
	inside, err := filepath.Rel(here[3], path)
	if !ok || err != nil || inside == ".." || strings.HasPrefix(inside, "../") {
		return "", false
	}
	return filepath.Join(here[4], inside), true
}

func (h *hierarchies) addVersion1(dir string, names []string) {
	for _, name := range names {
		if !slices.Contains(controllers, name) || h.v1[name] != "" {
			continue
		}
		if err := tryGroup(dir); err != nil {
			h.why[name] = err.Error()
			continue
		}
		h.v1[name] = dir
	}
}

func tryGroup(dir string) error {
	probe := filepath.Join(dir, groupName(-1))
	if err := os.Mkdir(probe, 0o755); err != nil { //nolint:gosec // as all cgroups are
		return fmt.Errorf("no group can be made in %s: %w", dir, unwrapPath(err))
	}
	return os.Remove(probe)
}

func unwrapPath(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// addUnified checks the folder of our group in the unified hierarchy. Groups below
// it get controllers only if no process is in the group itself: if this process is
// alone in it, it moves into a separate group below. Without controllers the
// hierarchy is useful only to kill; toKill says whether that is wanted.
func (h *hierarchies) addUnified(dir string, toKill bool) {
	if err := tryGroup(dir); err != nil {
		for _, name := range controllers {
			if h.v1[name] == "" {
				h.why[name] = err.Error()
			}
		}
		return
	}
	offered, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	for _, name := range strings.Fields(string(offered)) {
		if !slices.Contains(controllers, name) {
			continue
		}
		if err := enable(dir, name); err != nil {
			h.why[name] = fmt.Sprintf("%s cannot be handed on in %s: %v", name, dir, unwrapPath(err))
			continue
		}
		h.in2 = append(h.in2, name)
	}
	if toKill || len(h.in2) > 0 {
		h.v2 = dir
	}
}

func enable(dir, name string) error {
	control := filepath.Join(dir, "cgroup.subtree_control")
	if on, err := os.ReadFile(control); err == nil && slices.Contains(strings.Fields(string(on)), name) {
		return nil
	}
	err := os.WriteFile(control, []byte("+"+name), 0)
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	members, readErr := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if readErr != nil || strings.TrimSpace(string(members)) != strconv.Itoa(os.Getpid()) {
		return err // other processes are in it, and we may not move them
	}
	own := filepath.Join(dir, "qhubctl-server")
	//nolint:gosec // as all cgroups are
	if err := os.Mkdir(own, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := os.WriteFile(filepath.Join(own, "cgroup.procs"), members, 0); err != nil {
		return err
	}
	return os.WriteFile(control, []byte("+"+name), 0)
}

func (h *hierarchies) has(name string) bool {
	return h.v1[name] != "" || slices.Contains(h.in2, name) || name == accounting && h.v2 != ""
}

func groupName(n int) string {
	if n < 0 {
		return fmt.Sprintf("qhubctl-%d-probe", os.Getpid())
	}
	return fmt.Sprintf("qhubctl-%d-%d", os.Getpid(), n)
}

// sweep removes the groups that dead servers left. A group with a process in it
// cannot be removed.
func (h *hierarchies) sweep() {
	for _, dir := range h.folders() {
		left, _ := filepath.Glob(filepath.Join(dir, "qhubctl-[0-9]*-*"))
		for _, group := range left {
			pid, err := strconv.Atoi(strings.Split(filepath.Base(group), "-")[1])
			if err == nil && pid != os.Getpid() && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
				_ = os.Remove(group)
			}
		}
	}
}

func (h *hierarchies) folders() []string {
	var dirs []string
	for _, name := range controllers {
		if dir := h.v1[name]; dir != "" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if h.v2 != "" {
		dirs = append(dirs, h.v2)
	}
	return dirs
}
