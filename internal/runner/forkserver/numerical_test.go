//go:build linux

package forkserver_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// numericalPackages are pinned to versions that have wheels for every Python of
// services.
var numericalPackages = []string{"numpy==2.2.6", "pandas==2.3.3", "loguru==0.7.3"}

var numericalEnvironment = sync.OnceValues(func() (string, error) {
	file, err := runnertest.SDKWheel()
	if err != nil {
		return "", err
	}
	return testenv.Venv("numerical", append([]string{"--only-binary=:all:", file}, numericalPackages...)...)
})

// numerical describes how to run a service that imports numpy and pandas.
func numerical(t testing.TB, o forkserver.Options) forkserver.Options {
	t.Helper()
	dir, err := numericalEnvironment()
	if err != nil && strings.Contains(err.Error(), "No matching distribution") {
		t.Skipf("there are no wheels of %v for this Python: %v", numericalPackages, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.Python.Interpreter = testenv.Program(dir, "python")
	return o
}

// numericalService is the service in testdata.
func numericalService(t testing.TB, variables map[string]string, sb *process.Sandbox) forkserver.Options {
	t.Helper()
	o := numerical(t, service(t, variables, sb))
	dir, err := filepath.Abs("testdata/numerical")
	if err != nil {
		t.Fatal(err)
	}
	o.Dir = dir
	return o
}

func TestNumbersOfForksDiffer(t *testing.T) {
	o := numerical(t, written(t, `
import numpy
numpy.random.random()  # used is not seeded
def run(action: str) -> dict:
    legacy, new = numpy.random, numpy.random.default_rng()
    return {'global': legacy.random(), 'normal': legacy.normal(), 'whole': int(legacy.randint(1 << 60)), 'new': new.random()}
`, nil))
	o.Spares = 1
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	one, two := do(t, r, "x"), do(t, r, "x")
	if len(one.value) != 4 {
		t.Error(one.stderr)
	}
	for name, value := range one.value {
		if value == two.value[name] {
			t.Errorf("%s = %v in two executions, want different values", name, value)
		}
	}
}

func TestNumericalSeedOfTheServiceStays(t *testing.T) {
	for name, text := range map[string]string{
		"the global one":          "numpy.random.seed(42)",
		"from elsewhere":          "from numpy.random import seed; seed(42)",
		"by its state":            "numpy.random.set_state(numpy.random.RandomState(42).get_state())",
		"by another generator":    "numpy.random.set_bit_generator(numpy.random.PCG64(42))",
		"one of the service":      "own = numpy.random.default_rng(42)",
		"an old one of its":       "own = numpy.random.RandomState(42)",
		"seeded and used already": "numpy.random.seed(42); numpy.random.normal()",
	} {
		t.Run(name, func(t *testing.T) {
			o := numerical(t, written(t, "import numpy\nown = numpy.random\n"+text+`
def run(action: str) -> dict:
    return {'drawn': [own.random(), own.normal(), own.random()]}
`, nil))
			r := prepared(t, o)
			defer func() { _ = r.Close() }()
			want := do(t, cold(o), "x")
			if len(want.value) == 0 {
				t.Fatal(want.stderr)
			}
			if one, two := do(t, r, "x"), do(t, r, "x"); !reflect.DeepEqual(one.value, want.value) || !reflect.DeepEqual(two.value, want.value) {
				t.Errorf("two executions see %v and %v, want %v as cold\n%s", one.value, two.value, want.value, one.stderr)
			}
		})
	}
}

func TestNumericalServicesWorkInAFork(t *testing.T) {
	actions := []string{"multiply", "work"}
	want := map[string]left{}
	for _, action := range actions {
		want[action] = do(t, cold(numericalService(t, nil, nil)), action)
	}
	if right, _ := want["multiply"].value["right"].(bool); !right {
		t.Errorf("the product of a cold start is wrong: %v, want the right one", want)
	}
	each(t, func(t *testing.T, sb *process.Sandbox) {
		r := prepared(t, numericalService(t, nil, sb))
		defer func() { _ = r.Close() }()
		for _, action := range actions {
			got, want := do(t, r, action), want[action]
			if !reflect.DeepEqual(got.value, want.value) || got.outcome != (runner.Outcome{}) || len(want.value) == 0 {
				t.Errorf("%s: %+v %v, want %v as cold\n%s\n%s", action, got.outcome, got.value, want.value, got.stderr, want.stderr)
			}
			if got.stdout != want.stdout || got.stderr != want.stderr {
				t.Errorf("%s: the log is %q %q, want as cold: %q %q", action, got.stdout, got.stderr, want.stdout, want.stderr)
			}
		}
	})
}

// TestThreadsOfNumericalLibraries: libraries start as many threads as the service asks
// for, and at most one for each processor.
func TestThreadsOfNumericalLibraries(t *testing.T) {
	for name, value := range map[string]string{"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1,1", "GOTO_NUM_THREADS": "1000"} {
		t.Run(name, func(t *testing.T) {
			o := numericalService(t, map[string]string{name: value}, nil)
			r := prepared(t, o)
			defer func() { _ = r.Close() }()
			got, want := do(t, r, "multiply"), do(t, cold(o), "multiply")
			if !reflect.DeepEqual(got.value, want.value) || len(want.value) == 0 {
				t.Errorf("an execution sees %v, want %v as cold\n%s", got.value, want.value, got.stderr)
			}
		})
	}
}

// TestMemoryOfForks has an execution share what its zygote has imported.
func TestMemoryOfForks(t *testing.T) { each(t, testMemoryOfForks) }

func testMemoryOfForks(t *testing.T, sb *process.Sandbox) {
	o := numericalService(t, nil, sb)
	o.Pool = forkserver.NewPool(0)
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	all := o.Pool.Memory()
	ended, outcome := started(t, r)
	forks := children(t, r.Program().State().Pid)
	if len(forks) != 1 {
		t.Fatalf("the zygote has %d children, want 1", len(forks))
	}
	own := memory(t, forks[0], "Private_Dirty", "Private_Clean")
	t.Logf("of %.1f MB that the zygote takes, an execution has %.1f MB for itself, while it computes with pandas",
		megabytes(all), megabytes(own))
	if own == 0 || own > all/3 {
		t.Errorf("an execution has %.1f MB for itself and its zygote %.1f MB, want a third at most", megabytes(own), megabytes(all))
	}
	kill(t, forks[0])
	<-ended
	if got := <-outcome; got.Signal != "SIGKILL" {
		t.Errorf("the execution ends %+v, want SIGKILL", got)
	}
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

// memory sums up counts of the kernel about a process.
func memory(t *testing.T, pid int, names ...string) (sum int64) {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, size, _ := strings.Cut(lines.Text(), ":")
		for _, wanted := range names {
			if name != wanted {
				continue
			}
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(size), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n << 10
		}
	}
	return sum
}

// TestZygoteStaysAsItWas checks a zygote before and after many executions.
func TestZygoteStaysAsItWas(t *testing.T) {
	r := prepared(t, numericalService(t, nil, confined()))
	defer func() { _ = r.Close() }()
	pid := r.Program().State().Pid
	look := func() map[string]int {
		dirs, err := os.ReadDir(scratch(t))
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		for _, dir := range dirs { // each is removed with its test
			inside, err := os.ReadDir(filepath.Join(scratch(t), dir.Name()))
			if err != nil {
				t.Fatal(err)
			}
			left += len(inside)
		}
		return map[string]int{
			// Pages of files are shared with other programs on this machine.
			"kilobytes":                   int(memory(t, pid, "Pss_Anon") >> 10),
			"descriptors of the zygote":   entries(t, fmt.Sprintf("/proc/%d/fd", pid)),
			"descriptors of this program": descriptors(t),
			"children of the zygote":      len(children(t, pid)),
			"children of this program":    childrenOfThisProgram(t),
			"files of executions":         left,
		}
	}
	do(t, r, "frame")
	before := look()
	for range 200 {
		if got := do(t, r, "frame"); got.outcome != (runner.Outcome{}) {
			t.Fatalf("an execution ends %+v, want success\n%s", got.outcome, got.stderr)
		}
	}
	after := look()
	t.Logf("before %v, after %v", before, after)
	for name, n := range after {
		allowed := before[name]
		if name == "kilobytes" {
			allowed += 512
		}
		if n > allowed {
			t.Errorf("%s: %d, want about %d as before", name, n, before[name])
		}
	}
	if stats := r.Program().Stats(); stats.Warm != 201 || len(stats.Cold) != 0 || stats.Zygotes != 1 {
		t.Errorf("the counts are %+v, want 201 warm starts of one zygote", stats)
	}
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// childrenOfThisProgram counts the children, also those that have ended and are not
// reaped.
func childrenOfThisProgram(t *testing.T) (n int) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		if text, err := os.ReadFile(list); err == nil { // a thread may have ended
			n += len(strings.Fields(string(text)))
		}
	}
	return n
}
