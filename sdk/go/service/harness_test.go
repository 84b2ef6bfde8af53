package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// world holds the files and variables of one run.
type world struct {
	Input    map[string]string            // files
	Env      map[string]string            // secrets
	DataPool map[string]map[string]string // files by pool
	args     []string
}

// outcome is the exit code, the files and the output of a run.
type outcome struct {
	exit           int
	files          map[string]string
	stdout, stderr string
	env            map[string]string
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lay makes the folders of the world and returns the environment that points to them.
func (w world) lay(t testing.TB) (env map[string]string) {
	t.Helper()
	dir := t.TempDir()
	env = map[string]string{}
	for _, name := range []string{"input", "output", "datapool"} {
		env[strings.ToUpper(name)+"_DIRECTORY"] = filepath.Join(dir, name)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range w.Input {
		write(t, filepath.Join(dir, "input", name), content)
	}
	for pool, files := range w.DataPool {
		for name, content := range files {
			write(t, filepath.Join(dir, "datapool", pool, name), content)
		}
	}
	for name, value := range w.Env {
		env[name] = value
	}
	return env
}

func read(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(content)
	}
	return files
}

// program is a service that can be run in any world.
type program func(ctx context.Context, o service.Options) int

func of[In, Out any](run func(context.Context, In) (Out, error)) program {
	return func(ctx context.Context, o service.Options) int { return service.Run(ctx, run, o) }
}

func (p program) in(t testing.TB, w world) outcome {
	t.Helper()
	return p.with(t.Context(), t, w)
}

func (p program) with(ctx context.Context, t testing.TB, w world) outcome {
	t.Helper()
	env := w.lay(t)
	var stdout, stderr bytes.Buffer
	exit := p(ctx, service.Options{Args: w.args, Env: env, Stdout: &stdout, Stderr: &stderr})
	return outcome{exit, read(t, env["OUTPUT_DIRECTORY"]), stdout.String(), stderr.String(), env}
}

type problem struct {
	Type, Title, Detail string
	Status              int
	Errors              []struct{ Path, Message string }
}

func (o outcome) problem(t testing.TB) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(o.files["output.json"]), &p); err != nil {
		t.Fatalf("the files are %v (%v), want a problem document", o.files, err)
	}
	return p
}

// describe returns the description of a service.
func (p program) describe(t testing.TB) string {
	t.Helper()
	o := p.in(t, world{args: []string{"--describe"}})
	if o.exit != 0 {
		t.Fatalf("--describe: exit code %d, want 0: %s", o.exit, o.stderr)
	}
	return o.stdout
}
