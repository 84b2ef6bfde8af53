//go:build linux

package forkserver_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
)

// left is the outcome and the result of one execution.
type left struct {
	outcome runner.Outcome
	value   map[string]any
	files   map[string]string
	stdout  string
	stderr  string
}

// service describes how to run the service in testdata, with further variables.
func service(t testing.TB, variables map[string]string, sb *process.Sandbox) forkserver.Options {
	t.Helper()
	dir, err := filepath.Abs("testdata/service")
	if err != nil {
		t.Fatal(err)
	}
	env := base()
	maps.Copy(env, variables)
	env["EXPECTED_FOLDER"] = dir
	o := forkserver.Options{Dir: dir, Environment: env, Sandbox: sb, Scratch: scratch(t)}
	borrow(t, &o)
	return o
}

func cold(o forkserver.Options) runner.Runner {
	return &process.Runner{Program: o.Python, Dir: o.Dir, Environment: o.Environment}
}

// do has the service do something, to its end.
func do(t *testing.T, r runner.Runner, action string) left {
	t.Helper()
	name, err := json.Marshal(action)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	run, err := r.Start(t.Context(), runner.Job{
		ID: execution.NewID(), Scratch: inScratch(t), Stdout: &stdout, Stderr: &stderr,
		Inputs:  map[string]json.RawMessage{"action": name},
		Secrets: []runner.Secret{{Env: "SECRET_API_TOKEN", Value: plaintext.FromString("not-a-real-token")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	result := left{files: map[string]string{}}
	if result.outcome, err = run.Wait(); err != nil {
		t.Fatal(err)
	}
	result.stdout, result.stderr = stdout.String(), stderr.String()
	output, err := run.Artifacts()
	if err != nil {
		t.Fatal(err)
	}
	files, err := output.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		opened, err := output.Open(file.Name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(opened)
		if err != nil {
			t.Fatal(err)
		}
		_ = opened.Close()
		if file.Name != runner.ResultJSON {
			result.files[file.Name] = string(text)
		} else if err := json.Unmarshal(text, &result.value); err != nil && result.outcome == (runner.Outcome{}) {
			t.Error(err) // a killed execution may have been about to write it
		}
	}
	_ = output.Close()
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	return result
}

func TestNothingIsVisibleToTheNext(t *testing.T) { each(t, testNothingIsVisibleToTheNext) }

func testNothingIsVisibleToTheNext(t *testing.T, sb *process.Sandbox) {
	nothingIsVisible(t, service(t, nil, sb))
}

func nothingIsVisible(t *testing.T, o forkserver.Options) {
	t.Helper()
	want := do(t, cold(o), "look")
	if o.Sandbox != nil {
		// Descriptors of this program stay outside; a fork has the socket by which it
		// sends its exit notice.
		want.value["files"] = []any{"socket"}
	}
	for _, spares := range []int{0, 1} {
		o.Spares = spares
		r := prepared(t, o)
		for range 2 {
			got := do(t, r, "look")
			if names, ok := got.value["temporary"].([]any); ok {
				// This test's folder lies in the machine's temporary folder, which forks use too.
				got.value["temporary"] = slices.DeleteFunc(names, func(name any) bool { return strings.HasPrefix(fmt.Sprint(name), "Test") })
			}
			if !reflect.DeepEqual(got.value, want.value) {
				t.Errorf("an execution sees %v\nwant as cold: %v\n%s", got.value, want.value, got.stderr)
			}
			if got := do(t, r, "change"); got.outcome != (runner.Outcome{}) {
				t.Errorf("change ends %+v, want success\n%s", got.outcome, got.stderr)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestForksDiffer(t *testing.T) { each(t, testForksDiffer) }

func testForksDiffer(t *testing.T, sb *process.Sandbox) {
	r := prepared(t, service(t, nil, sb))
	defer func() { _ = r.Close() }()
	one, two := do(t, r, "random"), do(t, r, "random")
	for name, value := range one.value {
		if value == two.value[name] {
			t.Errorf("%s = %v in two executions, want different values", name, value)
		}
	}
	if len(one.value) == 0 {
		t.Error(one.stderr)
	}
}

func TestSeedOfTheServiceStays(t *testing.T) { each(t, testSeedOfTheServiceStays) }

func testSeedOfTheServiceStays(t *testing.T, sb *process.Sandbox) {
	for name, text := range map[string]string{
		"seeded":                "import random\nrandom.seed(42)\n",
		"seeded by its state":   "import random\nrandom.setstate(random.Random(42).getstate())\n",
		"seeded from elsewhere": "from random import seed\nseed(42)\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := written(t, text+"import random\ndef run(action: str) -> dict:\n    return {'value': random.random()}\n", sb)
			r := prepared(t, o)
			defer func() { _ = r.Close() }()
			want := do(t, cold(o), "x").value
			if one, two := do(t, r, "x"), do(t, r, "x"); !reflect.DeepEqual(one.value, want) || !reflect.DeepEqual(two.value, want) {
				t.Errorf("two executions see %v and %v, want %v as cold", one.value, two.value, want)
			}
		})
	}
	t.Run("used, not seeded", func(t *testing.T) {
		o := written(t, "import random\nrandom.seed()\nrandom.random()\ndef run(action: str) -> dict:\n    return {'value': random.random()}\n", sb)
		r := prepared(t, o)
		defer func() { _ = r.Close() }()
		if one, two := do(t, r, "x"), do(t, r, "x"); reflect.DeepEqual(one.value, two.value) {
			t.Errorf("two executions draw %v, want different numbers", one.value)
		}
	})
}

// written is a service with this program.
func written(t testing.TB, program string, sb *process.Sandbox) forkserver.Options {
	t.Helper()
	o := service(t, nil, sb)
	o.Dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(o.Dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "src", "program.py"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestEndShowsWhatAColdOneShows(t *testing.T) { each(t, testEndShowsWhatAColdOneShows) }

func testEndShowsWhatAColdOneShows(t *testing.T, sb *process.Sandbox) {
	endsAsColdOnes(t, sb, func(t testing.TB) process.Python { return complete(t, runnertest.SDKPython(t)) })
}

func endsAsColdOnes(t *testing.T, sb *process.Sandbox, python func(testing.TB) process.Python) {
	t.Helper()
	for _, finalize := range []bool{false, true} {
		o := service(t, nil, sb)
		o.Python, o.Finalize = python(t), finalize
		r := prepared(t, o)
		got, want := do(t, r, "end"), do(t, cold(o), "end")
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if got.outcome != want.outcome || got.stdout != want.stdout {
			t.Errorf("finalize %t: %+v %q, want as cold: %+v %q\n%s", finalize, got.outcome, got.stdout, want.outcome, want.stdout, got.stderr)
		}
		if one, other := lines(got.stderr), lines(want.stderr); !slices.Equal(one, other) || !slices.Contains(one, "made at import\n") {
			t.Errorf("finalize %t: the log is %q, want %q as cold", finalize, one, other)
		}
		for _, name := range []string{"open.txt", "log.txt"} {
			if one, other := lines(got.files[name]), lines(want.files[name]); !slices.Equal(one, other) {
				t.Errorf("finalize %t: %s is %q, want %q as cold\n%s", finalize, name, one, other, got.stderr)
			}
		}
		if one, other := unpacked(t, got.files["open.gz"]), unpacked(t, want.files["open.gz"]); one != "packed" || other != one {
			t.Errorf("finalize %t: the packed file holds %q, want packed as cold (%q)", finalize, one, other)
		}
	}
}

func lines(text string) []string { return slices.Sorted(strings.Lines(text)) }

func unpacked(t *testing.T, packed string) string {
	t.Helper()
	reader, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func TestServicesWorkInAFork(t *testing.T) { each(t, testServicesWorkInAFork) }

func testServicesWorkInAFork(t *testing.T, sb *process.Sandbox) {
	worksAsCold(t, service(t, nil, sb))
}

func worksAsCold(t *testing.T, o forkserver.Options) {
	t.Helper()
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	got, want := do(t, r, "work"), do(t, cold(o), "work")
	if !reflect.DeepEqual(got.value, want.value) || got.outcome != (runner.Outcome{}) || len(want.value) == 0 {
		t.Errorf("the threads end %+v %v, want %v as cold\n%s", got.outcome, got.value, want.value, got.stderr)
	}
	if got.stderr != want.stderr {
		t.Errorf("the log is %q, want %q as cold", got.stderr, want.stderr)
	}
	if got := do(t, r, "daemon"); got.outcome != (runner.Outcome{}) || len(got.files) > 0 {
		t.Errorf("a daemon thread delays the end: %+v, %v, want it cut off", got.outcome, got.files)
	}
	if code := do(t, r, "exit").outcome.ExitCode; code != 7 {
		t.Errorf("os._exit(7) ends with %d, want 7", code)
	}
}

func TestWhatTheImportPrintsIsInEveryLog(t *testing.T) { each(t, testWhatTheImportPrintsIsInEveryLog) }

func testWhatTheImportPrintsIsInEveryLog(t *testing.T, sb *process.Sandbox) {
	o := written(t, "import sys\nprint('out')\nprint('err', file=sys.stderr)\ndef run(action: str):\n    print(action)\n", sb)
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	want := do(t, cold(o), "here")
	for range 2 {
		if got := do(t, r, "here"); got.stdout != want.stdout || got.stderr != want.stderr || want.stdout != "out\nhere\n" {
			t.Errorf("the streams are %q, %q, want as cold: %q, %q", got.stdout, got.stderr, want.stdout, want.stderr)
		}
	}
}
