package cage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// controllers are what bounds an execution as a whole.
var controllers = []string{"memory", "pids", "cpu"}

// hierarchies are the cgroups this process is in: for each controller the
// folder of our own group, in which those of executions are made.
type hierarchies struct {
	v1 map[string]string
	// v2 is the one folder of the unified hierarchy; empty if there is none we
	// may write to.
	v2 string
	// in2 are the controllers that v2 gives to groups below ours.
	in2 []string
	// why says, of a controller that is in neither, what is in the way.
	why map[string]string
}

func findHierarchies(unified bool) hierarchies {
	h := hierarchies{v1: map[string]string{}, why: map[string]string{}}
	for _, name := range controllers {
		h.why[name] = "this machine has no cgroups with it"
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		// 4:memory:/where/we/are; the unified hierarchy has neither number nor name.
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		for mount := range strings.Lines(string(mounts)) {
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

// addUnified looks at the folder of our group in the unified hierarchy.
// Groups below it get controllers only if no process is in the group itself:
// where we are alone in it, we move into a group of our own below. Without
// controllers it serves to kill, which is wanted or not.
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
		return err // others are in it, and not ours to move
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
	return h.v1[name] != "" || slices.Contains(h.in2, name)
}

func groupName(n int) string {
	if n < 0 {
		return fmt.Sprintf("qhubctl-%d-probe", os.Getpid())
	}
	return fmt.Sprintf("qhubctl-%d-%d", os.Getpid(), n)
}

// sweep removes the groups of servers that did not come to it. A group with a
// process in it cannot be removed.
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

// A group is the cgroups of one execution, one in each hierarchy. Groups are
// used again: a group that is removed lives on in the kernel as long as
// anything it was charged for, such as cached pages of result files.
type group struct {
	name  string
	h     *hierarchies
	dirs  []string
	tasks []taskList
	dir2  *os.File // of version 2, in which it is born
	set   Limits
	seen  map[string]uint64 // events of executions before
}

// A taskList is the file of a group of version 1 in which the shim writes
// itself.
type taskList struct {
	file        *os.File
	controllers []string
}

// groups hands out groups.
type groups struct {
	h    hierarchies
	mu   sync.Mutex
	made int
	free []*group
}

func (gs *groups) take(limits Limits) (*group, error) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for len(gs.free) > 0 {
		g := gs.free[len(gs.free)-1]
		gs.free = gs.free[:len(gs.free)-1]
		if err := g.limit(limits); err == nil {
			return g, nil
		}
		g.remove()
	}
	g := &group{name: groupName(gs.made), h: &gs.h, seen: map[string]uint64{}}
	gs.made++
	if err := g.make(); err != nil {
		g.remove()
		return nil, fmt.Errorf("cannot make a cgroup: %w", err)
	}
	if err := g.limit(limits); err != nil {
		g.remove()
		return nil, fmt.Errorf("cannot limit a cgroup: %w", err)
	}
	return g, nil
}

// give takes a group back when all its processes have ended. One that had to
// be killed cannot serve again: the kernel kills whatever is born into it.
func (gs *groups) give(g *group) {
	if !g.empty() {
		g.kill()
		g.remove()
		return
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.free = append(gs.free, g)
}

func (gs *groups) close() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, g := range gs.free {
		g.remove()
	}
	gs.free = nil
}

func (g *group) make() error {
	for _, dir := range g.h.folders() {
		path := filepath.Join(dir, g.name)
		if err := os.Mkdir(path, 0o755); err != nil { //nolint:gosec // a service may read its limits
			return err
		}
		g.dirs = append(g.dirs, path)
		if dir == g.h.v2 {
			f, err := os.OpenFile(path, unix.O_DIRECTORY, 0)
			if err != nil {
				return err
			}
			g.dir2 = f
			continue
		}
		f, err := os.OpenFile(filepath.Join(path, "tasks"), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		list := taskList{file: f}
		for _, name := range controllers {
			if g.h.v1[name] == dir {
				list.controllers = append(list.controllers, name)
			}
		}
		g.tasks = append(g.tasks, list)
	}
	return nil
}

// joined are the lists in which an execution with these limits has to be: a
// group that limits nothing costs time all the same.
func (g *group) joined(l Limits) []*os.File {
	needed := map[string]bool{"memory": l.Memory > 0, "pids": l.Processes > 0, "cpu": l.CPU > 0}
	var files []*os.File
	for _, list := range g.tasks {
		if slices.ContainsFunc(list.controllers, func(name string) bool { return needed[name] }) {
			files = append(files, list.file)
		}
	}
	return files
}

func (g *group) file(controller, name1, name2 string) string {
	if dir := g.h.v1[controller]; dir != "" {
		return filepath.Join(dir, g.name, name1)
	}
	if slices.Contains(g.h.in2, controller) {
		return filepath.Join(g.h.v2, g.name, name2)
	}
	return ""
}

// ownTasks are threads of the shim, which count as the service's.
const ownTasks = 16

const cpuPeriod = 100_000 // microseconds

// limit sets the limits that are not set already.
func (g *group) limit(l Limits) error {
	if g.set.Memory == l.Memory && g.set.Processes == l.Processes && g.set.CPU == l.CPU {
		return nil
	}
	var errs []error
	put := func(controller, name1, name2, value1, value2 string) {
		value := value1
		if g.h.v1[controller] == "" {
			value = value2
		}
		if file := g.file(controller, name1, name2); file != "" {
			errs = append(errs, os.WriteFile(file, []byte(value), 0))
		}
	}
	number := func(n int64, none string) string {
		if n == 0 {
			return none
		}
		return strconv.FormatInt(n, 10)
	}
	put("memory", "memory.limit_in_bytes", "memory.max", number(l.Memory, "-1"), number(l.Memory, "max"))
	pids := int64(l.Processes)
	if pids > 0 {
		pids += ownTasks
	}
	put("pids", "pids.max", "pids.max", number(pids, "max"), number(pids, "max"))
	quota := int64(l.CPU * cpuPeriod)
	put("cpu", "cpu.cfs_quota_us", "cpu.max", number(quota, "-1"), number(quota, "max")+" "+strconv.Itoa(cpuPeriod))
	if slices.Contains(g.h.in2, "memory") {
		// Both may be absent from a kernel, and help only.
		_ = os.WriteFile(g.file("memory", "", "memory.swap.max"), []byte("0"), 0)
		_ = os.WriteFile(g.file("memory", "", "memory.oom.group"), []byte("1"), 0)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	g.set = l
	return nil
}

// reached tells which limits were run into since the last time.
func (g *group) reached() []string {
	var reached []string
	for _, limit := range []struct {
		name, file, key string
		set             bool
	}{
		{LimitMemory, g.file("memory", "memory.oom_control", "memory.events"), "oom_kill", g.set.Memory > 0},
		{LimitProcesses, g.file("pids", "pids.events", "pids.events"), "max", g.set.Processes > 0},
	} {
		if !limit.set {
			continue
		}
		if n := event(limit.file, limit.key); n > g.seen[limit.name] {
			g.seen[limit.name] = n
			reached = append(reached, limit.name)
		}
	}
	return reached
}

func event(file, key string) uint64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == key {
			n, _ := strconv.ParseUint(value, 10, 64)
			return n
		}
	}
	return 0
}

func (g *group) empty() bool {
	for _, dir := range g.dirs {
		members, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil || len(members) > 0 {
			return false
		}
	}
	return true
}

// kill ends all processes in the group, where the kernel can.
func (g *group) kill() {
	if g.dir2 != nil {
		_ = os.WriteFile(filepath.Join(g.h.v2, g.name, "cgroup.kill"), []byte("1"), 0)
	}
}

func (g *group) remove() {
	for _, list := range g.tasks {
		_ = list.file.Close()
	}
	if g.dir2 != nil {
		_ = g.dir2.Close()
	}
	for _, dir := range g.dirs {
		_ = os.Remove(dir) // what stays, the next server's sweep takes
	}
}
