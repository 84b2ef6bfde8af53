package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/descriptors"
)

// A Group bounds one execution that a command in a sandbox forks, and finds all
// of its processes. End must be called.
type Group struct {
	groups *groups
	group  *group
	lists  []*os.File
	opened *os.File // of lists, the one that belongs to this group alone

	mu    sync.Mutex
	ended bool // the group may be another's by now
}

// Group returns a group with these limits. It is nil if this machine cannot find
// the processes of an execution by a group.
func (m *Machine) Group(l Limits) (*Group, error) {
	if !m.has(layerCount) || !m.has(layerMemory) {
		return nil, nil //nolint:nilnil // there is none
	}
	g, err := m.groups.take(l)
	if err != nil {
		return nil, err
	}
	out := &Group{groups: m.groups, group: g}
	out.lists = g.joined(Limits{Memory: 1, Processes: 1, CPU: l.CPU, CPUTime: l.CPUTime})
	if g.dir2 != nil {
		if out.opened, err = os.OpenFile(filepath.Join(g.h.v2, g.name, "cgroup.procs"), os.O_WRONLY, 0); err != nil {
			out.End()
			return nil, err
		}
		out.lists = append(slices.Clone(out.lists), out.opened)
	}
	return out, nil
}

// Lists are the files by which a process joins: it writes a 0 to each.
func (g *Group) Lists() []*os.File { return g.lists }

// Limit sets other limits than those that it was made with, if it has any of the
// kind.
func (g *Group) Limit(l Limits) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.group.limit(l)
}

// CPUTime is how long the processors have worked for its processes; 0 if
// no group counts it, as without a limit.
func (g *Group) CPUTime() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return 0
	}
	return g.group.cpuTime()
}

// Last reports whether one process of one thread is left in the group, and none
// of its limits was reached.
func (g *Group) Last() bool {
	return g.group.set.CPUTime == 0 && g.group.current() == 1 &&
		len(g.group.runInto(func(string, uint64) {})) == 0
}

// End kills all processes in the group, gives the group back, and returns the
// limits that they reached.
func (g *Group) End() []string {
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
	reached := g.group.reached()
	killed := g.group.end()
	if killed {
		_ = g.group.reached()      // events of the kill do not count for the next execution
		g.group.set.Processes = -1 // forces a new setting
	}
	if g.opened != nil {
		_ = g.opened.Close()
	}
	// If one list has no member, the others have none: a process that joins, joins
	// all, and none leaves.
	g.groups.give(g.group, !killed)
	return reached
}

// endTime is how long killed processes may take to end.
const endTime = 2 * time.Second

// end kills all members of a group, which cannot start children meanwhile; false if
// there are none.
func (g *group) end() bool {
	if g.current() == 0 {
		return false
	}
	list := g.file("pids", "cgroup.procs", "cgroup.procs")
	members := membersOf(list)
	if len(members) == 0 {
		return false
	}
	_ = os.WriteFile(g.file("pids", "pids.max", "pids.max"), []byte("0"), 0)
	for deadline := time.Now().Add(endTime); len(members) > 0 && time.Now().Before(deadline); members = membersOf(list) {
		for _, pid := range members {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(200 * time.Microsecond) //nolint:forbidigo // version 1 does not report when a group is empty
	}
	return true
}

func membersOf(list string) []int {
	var text []byte
	err := descriptors.RetryBriefly(func() (err error) { // a member that we cannot open would live on
		text, err = os.ReadFile(list)
		return err
	})
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}
