package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/descriptors"
)

// A group is the cgroups of one execution, one in each hierarchy. Groups are
// reused: the kernel keeps a removed group as long as anything that was charged to
// it exists, such as cached pages of result files.
type group struct {
	name  string
	h     *hierarchies
	dirs  []string
	tasks []taskList
	dir2  *os.File       // of version 2, in which it is started
	looks map[string]int // descriptors of the files that are read after each execution, by path
	set   Limits
	// The counts of earlier executions: events, and computing time.
	seen map[string]uint64
	used time.Duration
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
		g.set.CPUTime = 0
		if err := g.limit(limits); err == nil {
			return g, nil
		}
		g.remove()
	}
	g := &group{name: groupName(gs.made), h: &gs.h, looks: map[string]int{}, seen: map[string]uint64{}}
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

// give takes a group back when all its processes have ended; ended says that this
// is known. A group that had to be killed is not reused, because the kernel kills
// any process that starts in it. A group that holds memory of its former processes
// is not reused either: the next execution would be charged for it.
func (gs *groups) give(g *group, ended bool) {
	if !ended && !g.empty() {
		g.kill()
		g.remove()
		return
	}
	if g.holdsMemory() {
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

// joined are the lists that an execution with these limits must join. A group
// without limits would only cost time.
func (g *group) joined(l Limits) []*os.File {
	needed := map[string]bool{"memory": l.Memory > 0, "pids": l.Processes > 0, "cpu": l.CPU > 0, accounting: l.CPUTime > 0}
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
	if g.h.has(controller) {
		return filepath.Join(g.h.v2, g.name, name2)
	}
	return ""
}

// ownTasks are threads of the shim, which count as the service's.
const ownTasks = 16

const cpuPeriod = 100_000 // microseconds

// limit sets the limits that are not set already.
func (g *group) limit(l Limits) error {
	if l.CPUTime > 0 && g.set.CPUTime == 0 {
		g.used = g.computed()
	}
	g.set.CPUTime = l.CPUTime // this program enforces it
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
		// A kernel may lack either, and both only help.
		_ = os.WriteFile(g.file("memory", "", "memory.swap.max"), []byte("0"), 0)
		_ = os.WriteFile(g.file("memory", "", "memory.oom.group"), []byte("1"), 0)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	g.set = l
	return nil
}

// reached returns the limits that were reached since the last call.
func (g *group) reached() []string {
	reached := g.runInto(func(limit string, n uint64) { g.seen[limit] = n })
	if g.set.CPUTime > 0 && g.cpuTime() >= g.set.CPUTime {
		reached = append(reached, LimitCPUTime)
	}
	return reached
}

// runInto is reached for limits that the kernel counts; it reports the counts.
func (g *group) runInto(report func(limit string, n uint64)) []string {
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
		if n := g.event(limit.file, limit.key); n > g.seen[limit.name] {
			report(limit.name, n)
			reached = append(reached, limit.name)
		}
	}
	return reached
}

// cpuTime is how long the processors have worked for the execution.
func (g *group) cpuTime() time.Duration {
	if g.set.CPUTime == 0 {
		return 0
	}
	return g.computed() - g.used
}

// computed is cpuTime for all executions that the group has served.
func (g *group) computed() time.Duration {
	if g.h.v1[accounting] == "" {
		return time.Duration(g.event(g.file(accounting, "", "cpu.stat"), "usage_usec")) * time.Microsecond
	}
	return time.Duration(max(0, g.number(g.file(accounting, "cpuacct.usage", ""))))
}

// look reads a small file of the group, which stays open: opening it takes the
// kernel longer than reading it.
func (g *group) look(file string, buffer []byte) []byte {
	fd, open := g.looks[file]
	if !open {
		var err error
		if fd, err = unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return nil
		}
		g.looks[file] = fd
	}
	n, err := unix.Pread(fd, buffer, 0)
	if err != nil {
		return nil
	}
	return buffer[:n]
}

func (g *group) event(file, key string) uint64 {
	var buffer [8192]byte
	for line := range bytes.Lines(g.look(file, buffer[:])) {
		if name, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte(" ")); ok && string(name) == key {
			n, _ := strconv.ParseUint(string(value), 10, 64)
			return n
		}
	}
	return 0
}

// current is how many threads its processes have; -1 if that is not known.
func (g *group) current() int64 { return g.number(g.file("pids", "pids.current", "pids.current")) }

// heldAtMost is the memory that a reusable group may hold: the kernel's own
// data, and counts that it has not settled yet.
const heldAtMost = 4 << 20

// holdsMemory reports whether the processes of the group have left memory that the
// kernel cannot reclaim at any time, unlike cached pages of files on the disk.
// Usually that is a file in memory that another process still has.
func (g *group) holdsMemory() bool {
	file := g.file("memory", "memory.usage_in_bytes", "memory.current")
	if file == "" {
		return false
	}
	held := g.number(file)
	if held <= heldAtMost {
		return false
	}
	stat := g.file("memory", "memory.stat", "memory.stat")
	for _, cached := range []string{"inactive_file", "active_file"} {
		held -= int64(g.event(stat, cached))
	}
	return held > heldAtMost
}

// number reads a file that holds one; -1 if that fails.
func (g *group) number(file string) int64 {
	var buffer [32]byte
	n, err := strconv.ParseInt(string(bytes.TrimSpace(g.look(file, buffer[:]))), 10, 64)
	if err != nil {
		return -1
	}
	return n
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
		_ = descriptors.RetryBriefly(func() error {
			return os.WriteFile(filepath.Join(g.h.v2, g.name, "cgroup.kill"), []byte("1"), 0)
		})
	}
}

func (g *group) remove() {
	for _, list := range g.tasks {
		_ = list.file.Close()
	}
	if g.dir2 != nil {
		_ = g.dir2.Close()
	}
	for _, fd := range g.looks {
		_ = unix.Close(fd)
	}
	for _, dir := range g.dirs {
		_ = os.Remove(dir) // the next server's sweep removes the rest
	}
}
