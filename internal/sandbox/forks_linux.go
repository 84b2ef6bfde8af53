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
	opened *os.File // of lists, the one that is this group's alone

	mu    sync.Mutex
	ended bool // the group may be another's by now
}

// Group is a group with these limits; nil where this machine cannot tell the
// processes of an execution by one.
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

// Limit sets other limits than those it was made with, where it has one of the
// kind.
func (g *Group) Limit(l Limits) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.group.limit(l)
}

// CPUTime is how long the processors have worked for its processes; 0 where
// nobody counts, as without a limit.
func (g *Group) CPUTime() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return 0
	}
	return g.group.cpuTime()
}

// Last tells whether one process is left in the group, of one thread, and none
// of its limits was run into.
func (g *Group) Last() bool {
	return g.group.set.CPUTime == 0 && g.group.current() == 1 &&
		len(g.group.runInto(func(string, uint64) {})) == 0
}

// End ends all processes in the group, gives the group back, and tells which
// limits they ran into.
func (g *Group) End() []string {
	g.mu.Lock()
	g.ended = true
	g.mu.Unlock()
	reached := g.group.reached()
	killed := g.group.end()
	if killed {
		_ = g.group.reached()      // what was killed does not count for the next
		g.group.set.Processes = -1 // to be set anew
	}
	if g.opened != nil {
		_ = g.opened.Close()
	}
	// Without a member in one list there is none in the others: who joins, joins
	// all, and nobody leaves.
	g.groups.give(g.group, !killed)
	return reached
}

// endTime is how long killed processes may take to end.
const endTime = 2 * time.Second

// end kills all members of a group, which get no children meanwhile; false if
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
		time.Sleep(200 * time.Microsecond) //nolint:forbidigo // version 1 does not tell when a group is empty
	}
	return true
}

func membersOf(list string) []int {
	var text []byte
	err := descriptors.RetryBriefly(func() (err error) { // a member that is not seen lives on
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
