package runnertest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// A Target is the object of [Attack].
type Target struct {
	// Open returns a runner of the probe, sandboxed, whose executions reach a
	// network.
	Open func(t *testing.T, network sandbox.Network) runner.Runner
	// Machine confines its executions.
	Machine *sandbox.Machine
	// Hidden are files and folders that no execution may read, such as those
	// of the platform; Locked are folders that none may change.
	Hidden, Locked []string
}

// An Assault is one attack of a hostile service.
type Assault struct {
	Name string
	// Needs are the layers of the sandbox that stop it; of those separated by |,
	// one is enough. None: it is stopped without a sandbox.
	Needs []string
	run   func(*testing.T, *siege)
	// Happens is its outcome, for the page about security.
	Happens string
}

// HeldBy names the layers that stop it.
func (a Assault) HeldBy() string {
	if len(a.Needs) == 0 {
		return "the runner"
	}
	return strings.ReplaceAll(strings.Join(a.Needs, ", "), "|", " or ")
}

// Attack has the probe attack in a sandbox, and checks that it harms only itself: the
// attack fails, the runner continues, and nothing is left. Attacks without a layer on
// this machine are skipped, with that reason.
func Attack(t *testing.T, target Target) {
	t.Helper()
	target.attack(t, Assaults())
}

// AttackNeighbours is [Attack] with only the attacks on other executions, for runners that
// otherwise equal another one.
func AttackNeighbours(t *testing.T, target Target) {
	t.Helper()
	target.attack(t, neighbours())
}

func (target Target) attack(t *testing.T, assaults []Assault) {
	t.Helper()
	for _, assault := range assaults {
		t.Run(assault.Name, func(t *testing.T) {
			for _, need := range assault.Needs {
				if !target.held(strings.Split(need, "|")...) {
					t.Skipf("not held on this machine, which does not give %s", strings.ReplaceAll(need, "|", " or "))
				}
			}
			mounts := mountsOf(t)
			s := &siege{subject: subject{runner: target.Open(t, sandbox.NetworkFull), scratch: t.TempDir()}, Target: target}
			defer s.aftermath(t, mounts)
			assault.run(t, s)
		})
	}
}

// held reports whether the machine has one of the named layers.
func (target Target) held(names ...string) bool {
	return slices.ContainsFunc(target.Machine.Layers(), func(l sandbox.Layer) bool { return l.Held && slices.Contains(names, l.Name) })
}

// siege is a target under attack.
type siege struct {
	subject
	Target

	jobs []runner.Job
}

func (s *siege) attack(name string, options ...func(*runner.Job)) runner.Job {
	job := s.job("attack_"+name, options...)
	s.jobs = append(s.jobs, job)
	return job
}

// end runs an attack to its end. An attack that gave up, because it could not prove that
// it is confined, is skipped, unless this machine has all layers that would confine it.
func (s *siege) end(t *testing.T, job runner.Job) ended {
	t.Helper()
	e := end(t, s.start(t, job))
	var answer struct {
		GaveUp string `json:"gave up"`
	}
	if json.Unmarshal(e.value, &answer) == nil && answer.GaveUp != "" {
		if len(s.Machine.Missing()) == 0 {
			t.Fatal("not held although all layers are there: " + answer.GaveUp)
		}
		t.Skip("not held on this machine: " + answer.GaveUp)
	}
	return e
}

// answers are those of an attack that only tries and reports.
func (s *siege) answers(t *testing.T, job runner.Job) map[string]string {
	t.Helper()
	e := s.end(t, job)
	var answers map[string]string
	if err := json.Unmarshal(e.value, &answers); err != nil || e.Outcome != (runner.Outcome{}) {
		t.Fatalf("the attack ends %+v (%v) with %s, want answers\n%s", e.Outcome, err, e.value, job.Stderr)
	}
	return answers
}

// refused checks that all attempts of an attack were refused.
func refused(t *testing.T, answers map[string]string, but ...string) {
	t.Helper()
	if len(answers) == 0 {
		t.Error("nothing was tried")
	}
	for what, answer := range answers {
		if (answer == "ok" || answer == "gave up") && !slices.Contains(but, what) {
			t.Errorf("%s answers %s, want a refusal", what, answer)
		}
	}
}

// aftermath checks that everything is as before the attack.
func (s *siege) aftermath(t *testing.T, mounts []string) {
	t.Helper()
	if got := s.result(t, s.job("echo", text("still here")))["text"]; got != "still here" {
		t.Errorf("a normal execution afterwards says %v, want still here", got)
	}
	for _, job := range s.jobs {
		if left := processesOf(t, job); len(left) > 0 {
			t.Errorf("the processes %v still run, want none", left)
		}
	}
	if err := s.runner.Close(); err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
	if left, err := os.ReadDir(s.scratch); err != nil || len(left) > 0 {
		t.Errorf("the scratch folder holds %v (%v), want nothing", left, err)
	}
	if left := slices.DeleteFunc(mountsOf(t), func(point string) bool {
		// Other tests mount meanwhile, in their folders. The tests as an ordinary user
		// have another temporary folder than those.
		temporary := strings.HasPrefix(point, os.TempDir()+"/") || strings.HasPrefix(point, "/tmp/Test")
		others := temporary && !strings.HasPrefix(point, filepath.Dir(s.scratch)+"/")
		return others || slices.Contains(mounts, point)
	}); len(left) > 0 {
		t.Errorf("the mounts %q are left, want none", left)
	}
	for _, list := range membersOf(t) {
		t.Errorf("processes in a cgroup: %s, want none", list)
	}
}

// mountsOf are the mounts that this process sees below the folders of executions, or in any
// place for its user.
func mountsOf(t *testing.T) []string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			points = append(points, fields[4])
		}
	}
	slices.Sort(points)
	return points
}

// membersOf are the cgroups of this process's executions that have members.
func membersOf(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, depth := range []string{"", "*/", "*/*/", "*/*/*/"} {
		lists, err := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/%sqhubctl-%d-*/cgroup.procs", depth, os.Getpid()))
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range lists {
			if members, err := os.ReadFile(list); err == nil && len(members) > 0 {
				found = append(found, list)
			}
		}
	}
	return found
}
