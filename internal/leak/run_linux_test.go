package leak_test

import (
	"errors"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
)

// TestRun is the matrix for `qhubctl run`: it searches the terminal and the folders. The
// user's home and current folder are those of the service.
func TestRun(t *testing.T) {
	t.Parallel()
	source := newSource(t)
	for _, k := range sdks {
		canaries := canariesFor(source, k)
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := newSubject(t, program(t), k, false, canaries)
			for _, m := range ends {
				s.run(m)
			}
			for _, command := range []string{"describe", "openapi"} {
				args := append([]string{command, s.workspace.dir}, s.workspace.flags...)
				out := []byte(s.workspace.qhubctl(t, args...))
				s.found.search("what "+command+" prints", out)
				if command == "openapi" {
					s.found.checkDescription(s.of(describes), out)
				}
			}
			searchDirs(t, s.found, "after run", &s.workspace, false)
			s.found.report(t)
			t.Logf("%d canaries, %d MB searched", len(canaries), s.found.bytes>>20)
		})
	}
}

// run runs the service in a mode that has a way. Both streams of the service go to one
// terminal, so that a line of one may split a line of the other: a wrong trace counts only
// if further runs show it too, and not if it is behind some lines of the other stream.
func (s *subject) run(m mode) {
	s.t.Helper()
	var canaries []leak.Canary
	for _, c := range s.of(m) {
		if c.Cell != "home" {
			canaries = append(canaries, c)
		}
	}
	if len(canaries) == 0 {
		return
	}
	before := s.found.wrong
	for range 3 {
		s.found.wrong = maps.Clone(before)
		s.found.check(s.sdk, m, s.runOnce(m, canaries))
		if len(s.found.wrong) == len(before) {
			return
		}
	}
}

func (s *subject) runOnce(m mode, canaries []leak.Canary) *left {
	s.t.Helper()
	given := filepath.Join(s.t.TempDir(), "request.json") // not searched
	write(s.t, given, string(request(s.t, m, canaries)))
	out := filepath.Join(s.t.TempDir(), "out")
	args := append([]string{"run", s.workspace.dir, "-d", "@" + given, "--output-dir", out}, s.workspace.flags...)
	if m != raises { // this mode prints its problem for people
		args = append(args, "--output", "json")
	}
	command := s.workspace.command(s.t, args...)
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
			s.t.Errorf("run %s = %v, want success or exit code 1\n%.3000s", m, err, stderr.String())
		}
	}
	s.found.search("standard output of run", []byte(stdout.String()))
	s.found.searchJSON("standard output of run", []byte(stdout.String()))
	s.found.search("standard error of run", []byte(stderr.String()))
	l := &left{canaries: canaries, log: stderr.String(), result: stdout.String(), files: filesBelow(s.t, out), between: 40}
	switch m {
	case raises:
		l.result = l.log
	case raw: // the result is a text
		l.files["output.json"] = l.result
	default:
	}
	for name, text := range l.files {
		s.found.search("the name of a file of run", []byte(name))
		s.found.search("a file of run", []byte(text))
	}
	return l
}

// filesBelow are the files of a folder and of those in it, by their paths.
func filesBelow(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if path == dir && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = read(t, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
