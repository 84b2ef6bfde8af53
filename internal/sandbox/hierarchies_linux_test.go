package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// unified2 is a folder that looks like the root of a unified hierarchy without
// others: this process is in the group /service.
func unified2(t *testing.T, offered string, members ...string) (h hierarchies, dir string) {
	t.Helper()
	root := t.TempDir()
	dir = filepath.Join(root, "service")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cgroup.controllers": offered, "cgroup.subtree_control": "", "cgroup.procs": strings.Join(members, "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mounts := fmt.Sprintf("30 29 0:26 / /proc rw - proc proc rw\n31 29 0:27 / %s rw,nosuid shared:4 - cgroup2 cgroup2 rw\n", root)
	return hierarchiesOf(mounts, "0::/service\n", false), dir
}

// TestUnifiedAlone makes groups on a machine with version 2 alone, in a folder that
// only looks like it. It checks the names and the content of files. It cannot check
// that the kernel accepts them: on a hybrid machine version 2 lacks these
// controllers.
func TestUnifiedAlone(t *testing.T) {
	h, dir := unified2(t, "cpuset cpu io memory pids\n")
	for _, name := range controllers {
		if !h.has(name) {
			t.Errorf("has(%s) = false (%s), want true", name, h.why[name])
		}
	}
	if h.v2 != dir || len(h.v1) > 0 || len(h.folders()) != 1 {
		t.Fatalf("the hierarchies are %+v, want version 2 alone", h)
	}
	groups := &groups{h: h}
	limits := Limits{Memory: 64 << 20, Processes: 20, CPU: 0.5, CPUTime: time.Second}
	g, err := groups.take(limits)
	if err != nil {
		t.Fatal(err)
	}
	if g.dir2 == nil || len(g.joined(limits)) > 0 {
		t.Error("executions would join the group after their start, want them started in it")
	}
	made := filepath.Join(dir, g.name)
	for name, want := range map[string]string{
		"memory.max": "67108864", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "36", "cpu.max": "50000 100000",
	} {
		file := filepath.Join(made, name)
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s = %q (%v), want %q", name, got, err, want)
		}
	}
	reported := func(oom, refused, used int) []string {
		for name, text := range map[string]string{
			"memory.events": fmt.Sprintf("low 0\nhigh 3\nmax 9\noom 1\noom_kill %d\noom_group_kill 1\n", oom),
			"pids.events":   fmt.Sprintf("max %d\n", refused),
			"cpu.stat":      fmt.Sprintf("usage_usec %d\nuser_usec 1\n", used),
		} {
			if err := os.WriteFile(filepath.Join(made, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return g.reached()
	}
	if got := reported(0, 0, 999_999); len(got) > 0 {
		t.Errorf("reached() = %q, want none", got)
	}
	if got := reported(2, 5, 1_000_000); !slices.Equal(got, []string{LimitMemory, LimitProcesses, LimitCPUTime}) {
		t.Errorf("reached() = %q, want memory, processes and cpu-time", got)
	}
	if got := reported(2, 5, 0); len(got) > 0 {
		t.Errorf("reached() = %q, want none of an execution before", got)
	}
	g.kill()
	if text, err := os.Stat(filepath.Join(made, "cgroup.kill")); err != nil || text.Size() != 1 {
		t.Errorf("cgroup.kill was not written (%v), want a 1", err)
	}
	_ = g.dir2.Close()
}

func TestUnifiedWithoutControllers(t *testing.T) {
	h, _ := unified2(t, "io\n")
	if h.v2 != "" || h.has("memory") || h.has(accounting) || h.why["memory"] == "" {
		t.Errorf("the hierarchies are %+v, want no unified one, with a reason", h)
	}
}

// TestBornInUnified checks version 2 as far as a hybrid machine allows: an execution
// is started in its group, its time is counted, and it is killed there.
func TestBornInUnified(t *testing.T) {
	m := Detect(Options{})
	t.Cleanup(m.Close)
	found := findHierarchies(true)
	if found.v2 == "" {
		t.Skip("no unified hierarchy in which this user can make groups")
	}
	alone := *m
	alone.groups = &groups{h: hierarchies{v1: map[string]string{}, v2: found.v2, why: map[string]string{}}}
	t.Cleanup(alone.groups.close)
	for _, l := range []layer{layerMemory, layerCount, layerCPU} {
		alone.held[l] = false
	}
	const limit = 200 * time.Millisecond
	start := func(script string) *Process {
		c, err := alone.Start(&exec.Cmd{
			Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/",
		}, Policy{Limits: Limits{CPUTime: limit}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if o, err := start("exit 3").Wait(); err != nil || o.ExitCode != 3 || len(o.Reached) > 0 {
		t.Errorf("Wait() = %+v, %v, want exit code 3", o, err)
	}
	c := start("n=0; while :; do n=$((n+1)); done")
	members, err := os.ReadFile(filepath.Join(found.v2, c.group.name, "cgroup.procs"))
	if err != nil || len(strings.Fields(string(members))) == 0 {
		t.Errorf("the group has the members %q (%v), want some", members, err)
	}
	for deadline := time.Now().Add(time.Minute); c.CPUTime() < limit && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // nothing tells when a process has computed for so long
	}
	if got := c.CPUTime(); got < limit {
		t.Errorf("CPUTime() = %s, want at least %s", got, limit)
	}
	c.group.kill() // no process can start in it afterwards, so it is not reused
	if o, err := c.Wait(); err != nil || o.Signal != "SIGKILL" || !slices.Equal(o.Reached, []string{LimitCPUTime}) {
		t.Errorf("Wait() = %+v, %v, want SIGKILL and cpu-time", o, err)
	}
}
