// Package scripts_test tests the scripts that the Makefile calls.
package scripts_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repository is one with the script and a changelog of two versions.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile("release")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "scripts", "release"), string(script), 0o755)
	write(t, filepath.Join(dir, "CHANGELOG.md"), "# Changelog\n\n## 0.2.0\n\n- Two.\n\n## 0.1.0\n\n- One.\n- More.\n\n## 0.0.9\n", 0o644)
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"config", "user.name", "Tester"},
		{"config", "user.email", "tester@example.com"},
		{"add", "."},
		{"commit", "--quiet", "-m", "all: begin"},
	} {
		git(t, dir, args...)
	}
	return dir
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(context.Background(), "git", args...)
	command.Dir = dir
	text, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s = %v, want success\n%s", strings.Join(args, " "), err, text)
	}
	return string(text)
}

// release runs the script; building is left out.
func release(t *testing.T, dir, version string) (said string, ok bool) {
	t.Helper()
	command := exec.CommandContext(context.Background(), filepath.Join(dir, "scripts", "release"), version)
	command.Env = append(os.Environ(), "MAKE=true")
	text, err := command.CombinedOutput()
	return string(text), err == nil
}

func TestReleaseRefuses(t *testing.T) {
	for _, c := range []struct {
		name, version, want string
		change              func(t *testing.T, dir string)
	}{
		{name: "no version", version: "", want: "name the version"},
		{name: "no version of ours", version: "0.1", want: "name the version"},
		{name: "a command", version: "v0.1.0;id", want: "name the version"},
		{name: "a changed tree", version: "v0.1.0", want: "the tree has changes", change: func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "new.txt"), "new", 0o644)
		}},
		{name: "a version that is tagged", version: "v0.1.0", want: "choose the next version", change: func(t *testing.T, dir string) {
			git(t, dir, "tag", "v0.1.0")
		}},
		{name: "a version without changes", version: "v0.0.9", want: "list the changes"},
		{name: "an unknown version", version: "v0.3.0", want: "list the changes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := repository(t)
			if c.change != nil {
				c.change(t, dir)
			}
			before := git(t, dir, "tag")
			said, ok := release(t, dir, c.version)
			if ok || !strings.Contains(said, c.want) {
				t.Errorf("release %q: succeeded %t, said %q, want a failure with %q", c.version, ok, said, c.want)
			}
			if after := git(t, dir, "tag"); after != before {
				t.Errorf("release %q: the tags are %q, want %q", c.version, after, before)
			}
		})
	}
}

func TestReleaseTags(t *testing.T) {
	dir := repository(t)
	if said, ok := release(t, dir, "v0.1.0"); !ok {
		t.Fatalf("release v0.1.0: failed, said %q, want a tag", said)
	}
	message := git(t, dir, "tag", "-l", "--format=%(contents)", "v0.1.0")
	if want := "qhubctl v0.1.0\n\n- One.\n- More."; strings.TrimSpace(message) != want {
		t.Errorf("the tag says %q, want %q", message, want)
	}
}
