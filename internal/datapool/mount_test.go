package datapool_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
)

// An execution has a pool in its folder.
type execution struct {
	*fixture
	*datapool.Mounted
	dir runner.Dir
}

func (f *fixture) mount(id, pool string, permission datapool.Permission) *execution {
	f.Helper()
	mounted, err := f.Mount(f.Context(), id, map[string]datapool.Want{"models": {Pool: pool, Permission: permission}})
	f.must(err)
	f.Cleanup(mounted.Close)
	dir, err := runner.NewDir(f.TempDir())
	f.must(err)
	e := &execution{f, mounted, dir}
	f.must(dir.PlacePool("models", runner.Pool{
		Place:    func(dir string) error { return mounted.Place(f.Context(), "models", dir) },
		Writable: mounted.Writable("models"),
	}))
	return e
}

func (e *execution) path(name string) string {
	return filepath.Join(e.dir.DataPools(), "models", filepath.FromSlash(name))
}

func (e *execution) write(name, content string) {
	e.Helper()
	e.must(os.MkdirAll(filepath.Dir(e.path(name)), 0o700))
	e.must(os.WriteFile(e.path(name), []byte(content), 0o600))
}

// finish writes back what the execution has changed.
func (e *execution) finish(secrets ...redact.Secret) ([]string, error) {
	e.Helper()
	left, err := e.dir.OpenPool("models")
	e.must(err)
	defer func() { e.must(left.Close()) }()
	notices, err := e.Stage(e.Context(), "models", left, redact.New(secrets))
	if err != nil {
		return notices, err
	}
	changes, some := e.Staged()
	if !some {
		return notices, nil
	}
	_, err = e.Store.Apply(e.Context(), changes)
	if conflict := e.Conflict(err); conflict != nil {
		return notices, conflict
	}
	return notices, err
}

func (f *fixture) wantContents(when, pool string, want map[string]string) {
	f.Helper()
	if got := f.contents(pool); !maps.Equal(got, want) {
		f.Errorf("%s the pool has %q, want %q", when, got, want)
	}
}

// TestAdmit says what a caller may give to an execution.
func TestAdmit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	pool, other := f.pool("models"), f.pool("other")
	grant := func(permission datapool.Permission) string {
		token, _, err := f.IssueGrant(ctx, f.owner, pool.ID, f.app.ID, permission)
		f.must(err)
		return string(token.Reveal())
	}
	view := grant(datapool.View)
	running := f.mount("run", pool.ID, datapool.View)
	defer running.Close()
	child := access.Principal{Kind: access.Execution, ID: "run", Tenant: f.owner.Tenant, Rights: []access.Right{access.ReadPools, access.WritePools}}
	ended := child
	ended.ID = "ended"
	reader := f.owner
	reader.Rights = []access.Right{access.ReadPools}
	blind := f.owner
	blind.Rights = []access.Right{access.Execute}
	for name, c := range map[string]struct {
		p     access.Principal
		pool  string
		grant string
		want  datapool.Permission
		says  string
	}{
		"a grant to view":               {f.app, pool.ID, view, datapool.View, ""},
		"a grant to modify":             {f.app, pool.ID, grant(datapool.Modify), datapool.Modify, ""},
		"an application without one":    {f.app, pool.ID, "", "", "needs a grant"},
		"another application":           {f.otherApp, pool.ID, view, "", "another application"},
		"another pool":                  {f.app, other.ID, view, "", "another data pool"},
		"a text":                        {f.app, pool.ID, "x", "", "not valid"},
		"a viewer":                      {f.viewer, pool.ID, "", datapool.View, ""},
		"a maintainer":                  {f.maintainer, pool.ID, "", datapool.Modify, ""},
		"an owner":                      {f.owner, pool.ID, "", datapool.Modify, ""},
		"a token that reads only":       {reader, pool.ID, "", datapool.View, ""},
		"a token without a right":       {blind, pool.ID, "", "", "may not read"},
		"another tenant":                {f.stranger, pool.ID, "", "", "no such data pool"},
		"an execution that has it":      {child, pool.ID, "", datapool.View, ""},
		"an execution without it":       {child, other.ID, "", "", "no such data pool"},
		"an execution with a grant":     {child, pool.ID, view, "", "another application"},
		"an execution that has ended":   {ended, pool.ID, "", "", "no such data pool"},
		"a pool that is not there":      {f.owner, "none", "", "", "no such data pool"},
		"a caller that shows its token": {f.app, pool.ID, "a.b.c", "", "not valid"},
	} {
		got, err := f.Admit(ctx, c.p, c.pool, c.grant)
		refused, ok := errors.AsType[*datapool.RefusedError](err)
		if got != c.want || ok != (c.says != "") || ok && !strings.Contains(refused.Reason, c.says) || err != nil && !ok {
			t.Errorf("Admit(%s) = %q, %v; want %q and %q", name, got, err, c.want, c.says)
		}
	}
	f.advance.Store(int64(access.GrantLifetime))
	if _, err := f.Admit(ctx, f.app, pool.ID, view); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("Admit(a grant after ten minutes) = %v, want that it has expired", err)
	}
	if _, err := f.Mount(ctx, "x", map[string]datapool.Want{"models": {Pool: pool.ID, Permission: "ALL"}}); err == nil {
		t.Error("Mount(an unknown permission) = nil")
	}
	f.must(f.Delete(ctx, f.owner, other.ID))
	_, err := f.Mount(ctx, "x", map[string]datapool.Want{"models": {Pool: other.ID, Permission: datapool.View}})
	if _, ok := errors.AsType[*datapool.RefusedError](err); !ok {
		t.Errorf("Mount(a deleted pool) = %v, want a RefusedError", err)
	}
}

// TestSharedCopies has executions that view a pool share files, of which one that was
// written to is replaced.
func TestSharedCopies(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	pool := f.pool("models")
	f.put(pool.ID, "dir/a", "content")
	stat := func(e *execution) os.FileInfo {
		info, err := os.Stat(e.path("dir/a"))
		f.must(err)
		return info
	}
	first, second := f.mount("1", pool.ID, datapool.View), f.mount("2", pool.ID, datapool.View)
	if a, b := stat(first), stat(second); !os.SameFile(a, b) || a.Mode().Perm() != 0o444 {
		t.Errorf("two executions have %v and %v, want one file that cannot be written", a, b)
	}
	f.must(os.Chmod(first.path("dir/a"), 0o600))
	first.write("dir/a", "damaged")
	third := f.mount("3", pool.ID, datapool.View)
	if content, err := os.ReadFile(third.path("dir/a")); err != nil || string(content) != "content" {
		t.Errorf("after a service without a sandbox has written to it, the next has %q, %v", content, err)
	}
	writable := f.mount("4", pool.ID, datapool.Modify)
	if os.SameFile(stat(third), stat(writable)) {
		t.Error("a writable pool shares its file")
	}
}

// TestReplacedWhileMounted keeps the content that an execution has mounted.
func TestReplacedWhileMounted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	pool := f.pool("models")
	f.put(pool.ID, "a", "1")
	mounted, err := f.Mount(t.Context(), "run", map[string]datapool.Want{"models": {Pool: pool.ID, Permission: datapool.View}})
	f.must(err)
	f.put(pool.ID, "a", "2")
	f.must(f.Sweep(t.Context()))
	if n := f.stored(); n != 2 {
		t.Errorf("there are %d blobs, want the mounted one, too", n)
	}
	dir := t.TempDir()
	f.must(mounted.Place(t.Context(), "models", dir))
	if content, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(content) != "1" {
		t.Errorf("the execution has %q, %v; want the mounted content", content, err)
	}
	mounted.Close()
	if n := f.stored(); n != 1 {
		t.Errorf("after its end there are %d blobs, want 1", n)
	}
}

// TestWriteBack writes changes back: all of an execution, or none.
func TestWriteBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	pool := f.pool("models")
	for name, content := range map[string]string{"same": "same", "changed": "old", "removed": "x", "dir/kept": "kept"} {
		f.put(pool.ID, name, content)
	}
	e := f.mount("1", pool.ID, datapool.Modify)
	e.write("changed", "new")
	e.write("made/deep/file", "made")
	e.write("same", "same") // another write of the same content
	f.must(os.Remove(e.path("removed")))
	notices, err := e.finish()
	if err != nil || len(notices) != 0 {
		t.Errorf("finish = %q, %v", notices, err)
	}
	want := map[string]string{"same": "same", "changed": "new", "made/deep/file": "made", "dir/kept": "kept"}
	f.wantContents("after it", pool.ID, want)
	all, err := f.Files(t.Context(), f.owner, pool.ID)
	f.must(err)
	for _, file := range all {
		if version := map[string]int64{"changed": 2}[file.Name]; version != 0 && file.Version != version || version == 0 && file.Version != 1 {
			t.Errorf("%s has version %d, want new versions of changed files only", file.Name, file.Version)
		}
	}
	// Two executions that change different files, and a third that is too late.
	a, b, late := f.mount("a", pool.ID, datapool.Modify), f.mount("b", pool.ID, datapool.Modify), f.mount("c", pool.ID, datapool.Modify)
	a.write("a", "a")
	b.write("b", "b")
	b.write("changed", "by b")
	late.write("late", "late")
	late.write("changed", "late")
	for _, e := range []*execution{a, b} {
		_, err := e.finish()
		f.must(err)
	}
	if _, err := late.finish(); !isConflict(err, "another caller has changed a file") {
		t.Errorf("finish(too late) = %v, want a conflict", err)
	}
	want["a"], want["b"], want["changed"] = "a", "b", "by b"
	f.wantContents("after three executions", pool.ID, want)
	for _, e := range []*execution{e, a, b, late} {
		e.Close()
	}
	if n := f.stored(); n != len(want) {
		t.Errorf("there are %d blobs for %d files", n, len(want))
	}
}

func isConflict(err error, says string) bool {
	conflict, ok := errors.AsType[*datapool.ConflictError](err)
	return ok && strings.Contains(conflict.Reason, says)
}

// TestWriteBackRefuses leaves out what does not belong into a pool.
func TestWriteBackRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	pool := f.pool("models")
	f.put(pool.ID, "a", "1")
	f.put(pool.ID, "b/c", "2")
	secret := redact.Secret{Name: "token", Value: []byte("a-token-of-19-bytes")}

	e := f.mount("1", pool.ID, datapool.Modify)
	f.must(os.Remove(e.path("a")))
	f.must(os.Symlink("/etc/passwd", e.path("a")))
	f.must(os.RemoveAll(e.path("b")))
	f.must(os.Symlink(t.TempDir(), e.path("b")))
	e.write(`back\slash`, "x")
	e.write("a-token-of-19-bytes", "x")
	e.write("text", "it is a-token-of-19-bytes.\n")
	e.write("binary", "\x00a-token-of-19-bytes")
	notices, err := e.finish(secret)
	f.must(err)
	text := fmt.Sprint(notices)
	for _, want := range []string{`"a"`, `"b"`, `back\\slash`, "its name holds a secret", `"binary" is not written back`} {
		if !strings.Contains(text, want) {
			t.Errorf("the notices are %s, want %q", text, want)
		}
	}
	if strings.Contains(text, "a-token") {
		t.Errorf("the notices hold a secret: %s", text)
	}
	want := map[string]string{"a": "1", "b/c": "2", "text": "it is [redacted].\n"}
	f.wantContents("after it", pool.ID, want)

	e = f.mount("2", pool.ID, datapool.Modify)
	for i := range 10 {
		e.write(fmt.Sprintf("file %d", i), "x")
	}
	if _, err := e.finish(); !isConflict(err, "more than 10 files") {
		t.Errorf("finish(13 files) = %v, want a conflict", err)
	}
	e = f.mount("3", pool.ID, datapool.Modify)
	e.write("large", strings.Repeat("x", 20<<20+1))
	if _, err := e.finish(); !isConflict(err, "larger than") {
		t.Errorf("finish(a large file) = %v, want a conflict", err)
	}
	e = f.mount("4", pool.ID, datapool.Modify)
	e.write("new", "x")
	f.must(f.Delete(t.Context(), f.owner, pool.ID))
	if _, err := e.finish(); !isConflict(err, "deleted meanwhile") {
		t.Errorf("finish(a deleted pool) = %v, want a conflict", err)
	}
	e.Close()
}

// TestDamagedContent is never given to an execution.
func TestDamagedContent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	pool := f.pool("models")
	f.put(pool.ID, "a", "content")
	blobs, err := filepath.Glob(filepath.Join(f.dir, "blobs", "objects", "datapools", "*", "*"))
	f.must(err)
	content, err := os.ReadFile(blobs[0])
	f.must(err)
	content[0] ^= 1
	f.must(os.WriteFile(blobs[0], content, 0o600))
	for _, permission := range []datapool.Permission{datapool.View, datapool.Modify} {
		mounted, err := f.Mount(t.Context(), string(permission), map[string]datapool.Want{"models": {Pool: pool.ID, Permission: permission}})
		f.must(err)
		f.wants("Place(a damaged content)", mounted.Place(t.Context(), "models", t.TempDir()), blob.ErrChecksum)
		mounted.Close()
	}
}
