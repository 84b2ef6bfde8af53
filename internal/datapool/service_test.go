package datapool_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/datapool"
)

// TestRights has a viewer read, a maintainer write, an owner delete and share, and no
// other caller do anything.
func TestRights(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	pool := f.pool("models")
	file := f.put(pool.ID, "a", "1")
	for _, c := range []struct {
		name string
		// least is the role that may do it.
		least access.Role
		do    func(p access.Principal) error
	}{
		{"Get", access.Viewer, func(p access.Principal) error { _, err := f.Get(ctx, p, pool.ID); return err }},
		{"Files", access.Viewer, func(p access.Principal) error { _, err := f.Files(ctx, p, pool.ID); return err }},
		{"Open", access.Viewer, func(p access.Principal) error {
			_, object, err := f.Open(ctx, p, pool.ID, file.ID)
			if err == nil {
				err = object.Close()
			}
			return err
		}},
		{"IssueGrant(VIEW)", access.Viewer, func(p access.Principal) error {
			_, _, err := f.IssueGrant(ctx, p, pool.ID, f.app.ID, datapool.View)
			return err
		}},
		{"IssueGrant(MODIFY)", access.Maintainer, func(p access.Principal) error {
			_, _, err := f.IssueGrant(ctx, p, pool.ID, f.app.ID, datapool.Modify)
			return err
		}},
		{"IssueGrant(GRANT)", access.Owner, func(p access.Principal) error {
			_, _, err := f.IssueGrant(ctx, p, pool.ID, f.app.ID, datapool.Grant)
			return err
		}},
		{"Put", access.Maintainer, func(p access.Principal) error {
			_, err := f.Put(ctx, p, pool.ID, "a", "", "", strings.NewReader("1"))
			return err
		}},
		{"BeginUpload", access.Maintainer, func(p access.Principal) error {
			_, err := f.BeginUpload(ctx, p, datapool.Upload{Pool: pool.ID, Name: "b", Size: 1})
			return err
		}},
		{"Update", access.Maintainer, func(p access.Principal) error {
			_, err := f.Update(ctx, p, datapool.Pool{ID: pool.ID, Name: "models", Tags: []string{" Big "}})
			return err
		}},
		{"Shares", access.Owner, func(p access.Principal) error { _, err := f.Shares(ctx, p, pool.ID); return err }},
	} {
		for role, p := range map[access.Role]access.Principal{access.Viewer: f.viewer, access.Maintainer: f.maintainer, access.Owner: f.owner} {
			var want error
			if !role.Includes(c.least) {
				want = access.ErrForbidden
			}
			f.wants(c.name+" by a "+string(role), c.do(p), want)
		}
		err := c.do(f.stranger)
		f.wants(c.name+" by a stranger", err, access.ErrNotFound)
		f.wants(c.name+" by an application", c.do(f.app), access.ErrForbidden)
	}
	if got, err := f.Get(ctx, f.viewer, pool.ID); err != nil || got.Role != access.Viewer || len(got.Tags) != 1 || got.Tags[0] != "big" {
		t.Errorf("Get = %+v, %v; want the role of the caller, and tags in lower case", got, err)
	}
	_, _, err := f.IssueGrant(ctx, f.stranger, pool.ID, f.app.ID, datapool.View)
	f.wants("IssueGrant by a stranger", err, access.ErrNotFound)
	_, _, err = f.IssueGrant(ctx, f.owner, pool.ID, "none", datapool.View)
	f.wants("IssueGrant for no application", err, access.ErrNotFound)
	f.wants("Delete by a maintainer", f.Delete(ctx, f.maintainer, pool.ID), access.ErrForbidden)
	f.wants("Delete by a stranger", f.Delete(ctx, f.stranger, pool.ID), access.ErrNotFound)
	f.must(f.Delete(ctx, f.owner, pool.ID))
	if n := f.stored(); n != 0 {
		t.Errorf("a deleted pool has left %d blobs, want 0", n)
	}
}

// TestShares gives another tenant a role, for a time.
func TestShares(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	pool := f.pool("models")
	file := f.put(pool.ID, "a", "1")
	share, err := f.ShareWith(ctx, f.owner, pool.ID, f.stranger.Tenant, access.User, access.Viewer, time.Time{}, time.Time{})
	f.must(err)
	if list, n, err := f.List(ctx, f.stranger, 0, 0); err != nil || n != 1 || list[0].Role != access.Viewer {
		t.Errorf("List of the other tenant = %+v, %d, %v; want the pool, as VIEWER", list, n, err)
	}
	if _, err := f.Files(ctx, f.stranger, pool.ID); err != nil {
		t.Errorf("Files by a share = %v", err)
	}
	_, err = f.Put(ctx, f.stranger, pool.ID, "b", "", "", strings.NewReader("1"))
	f.wants("Put by a share as VIEWER", err, access.ErrForbidden)
	_, err = f.SetShareRole(ctx, f.owner, pool.ID, share.ID, access.Owner)
	f.must(err)
	f.must(f.DeleteFile(ctx, f.stranger, pool.ID, file.ID))
	_, err = f.Update(ctx, f.stranger, datapool.Pool{ID: pool.ID, Name: "models", Tags: []string{"theirs"}})
	f.must(err)
	_, err = f.Update(ctx, f.stranger, datapool.Pool{ID: pool.ID, Name: "theirs"})
	f.wants("Update of the name by a share as OWNER", err, access.ErrForbidden)
	f.wants("Delete by a share as OWNER", f.Delete(ctx, f.stranger, pool.ID), access.ErrForbidden)
	_, err = f.ShareWith(ctx, f.stranger, pool.ID, f.owner.Tenant, access.Organization, access.Owner, time.Time{}, time.Time{})
	f.wants("ShareWith by a share as OWNER", err, access.ErrForbidden)
	until := time.Now().Add(time.Hour)
	_, err = f.SetShareValidity(ctx, f.owner, pool.ID, share.ID, time.Time{}, until)
	f.must(err)
	f.advance.Store(int64(time.Hour + time.Second))
	_, err = f.Files(ctx, f.stranger, pool.ID)
	f.wants("Files by a share that has ended", err, access.ErrNotFound)
	_, err = f.SetShareValidity(ctx, f.owner, pool.ID, share.ID, until, until)
	f.wants("SetShareValidity(of no time)", err, access.ErrInvalid)
	for name, do := range map[string]func() (datapool.Share, error){
		"nobody": func() (datapool.Share, error) {
			return f.ShareWith(ctx, f.owner, pool.ID, "none", access.User, access.Viewer, time.Time{}, time.Time{})
		},
		"a user of a kind": func() (datapool.Share, error) {
			return f.ShareWith(ctx, f.owner, pool.ID, f.stranger.Tenant, access.Organization, access.Viewer, time.Time{}, time.Time{})
		},
	} {
		_, err := do()
		f.wants("ShareWith "+name, err, access.ErrNotFound)
	}
	f.must(f.Unshare(ctx, f.owner, pool.ID, share.ID))
	if list, n, err := f.List(ctx, f.stranger, 0, 0); err != nil || n != 0 {
		t.Errorf("List after Unshare = %+v, %v; want nothing", list, err)
	}
}

// TestInvalidNames refuses texts and file names.
func TestInvalidNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, p := range map[string]datapool.Pool{
		"short": {Name: "ab"}, "long": {Name: strings.Repeat("x", 256)}, "control": {Name: "a\nbc"},
		"text": {Name: "abc", ShortDescription: strings.Repeat("x", 61)}, "tag": {Name: "abc", Tags: []string{" "}},
	} {
		_, err := f.Create(t.Context(), f.owner, p)
		f.wants("Create("+name+")", err, access.ErrInvalid)
	}
	if _, err := f.Create(t.Context(), f.owner, datapool.Pool{Name: strings.Repeat("ü", 255), ShortDescription: strings.Repeat("ü", 60)}); err != nil {
		t.Errorf("Create(255 characters) = %v", err)
	}
	for _, name := range []string{"", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", `a\b`, "a\x00b", "a\nb", "\xff", strings.Repeat("x", 256), strings.Repeat("x/", 17) + "x"} {
		f.wants("CheckFileName("+name+")", datapool.CheckFileName(name), access.ErrInvalid)
	}
	for _, name := range []string{"a", "a/b.txt", ".hidden", "ü", "...", strings.Repeat("x", 255), strings.Repeat("x/", 16) + "x"} {
		f.wants("CheckFileName("+name+")", datapool.CheckFileName(name), nil)
	}
}

// TestReplacedFiles keeps one content of each file.
func TestReplacedFiles(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	pool := f.pool("models")
	first := f.put(pool.ID, "a.txt", "1")
	second := f.put(pool.ID, "a.txt", "22")
	if second.ID != first.ID || second.Version != 2 || second.SHA256 != sumOf([]byte("22")) || !strings.HasPrefix(second.ContentType, "text/plain") {
		t.Errorf("Put(again) = %+v, want version 2 of %+v", second, first)
	}
	if n := f.stored(); n != 1 {
		t.Errorf("there are %d blobs, want 1", n)
	}
	_, err := f.Put(t.Context(), f.owner, pool.ID, "a.txt", "", sumOf([]byte("x")), strings.NewReader("y"))
	f.wants("Put(another checksum)", err, blob.ErrChecksum)
	_, err = f.Put(t.Context(), f.owner, pool.ID, "a.txt", "", "", &endless{})
	f.wants("Put(too much)", err, blob.ErrTooLarge)
	_, err = f.Put(t.Context(), f.owner, pool.ID, "a.txt/b", "", "", strings.NewReader("y"))
	f.wants("Put(a file in a file)", err, access.ErrConflict)
	if got := f.contents(pool.ID); got["a.txt"] != "22" || f.stored() != 1 {
		t.Errorf("after refused changes the pool has %q and %d blobs", got, f.stored())
	}
}

type endless struct{}

func (*endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// broken is a connection that breaks.
type broken struct {
	io.Reader
	left int
}

var errBroken = errors.New("the connection broke")

func (b *broken) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBroken
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// TestUploadInPieces goes on after a connection that broke, and after a restart.
func TestUploadInPieces(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	pool := f.pool("models")
	content := bytes.Repeat([]byte("0123456789abcdef"), 19<<16) // 19 MiB: three pieces
	size := int64(len(content))
	u, err := f.BeginUpload(ctx, f.owner, datapool.Upload{Pool: pool.ID, Name: "big", Size: size, SHA256: strings.ToUpper(sumOf(content))})
	f.must(err)
	_, err = f.Continue(ctx, f.owner, pool.ID, u.ID, 0, size, &broken{bytes.NewReader(content), 17 << 20})
	f.wants("Continue(a connection that breaks)", err, errBroken)
	at, err := f.Progress(ctx, f.owner, pool.ID, u.ID)
	f.must(err)
	if at.Offset != 2*datapool.PieceSize || at.Done != nil || len(f.contents(pool.ID)) != 0 {
		t.Errorf("Progress = %d of %d, want two pieces, and no file yet", at.Offset, size)
	}
	if at, err = f.Continue(ctx, f.owner, pool.ID, u.ID, 5, size-5, bytes.NewReader(content[5:])); !errors.Is(err, datapool.ErrStale) || at.Offset != 2*datapool.PieceSize {
		t.Errorf("Continue(from elsewhere) = %d, %v; want the offset and ErrStale", at.Offset, err)
	}
	_, err = f.Continue(ctx, f.owner, pool.ID, u.ID, at.Offset, size, &endless{})
	f.wants("Continue(more than the size)", err, access.ErrInvalid)
	_, err = f.Continue(ctx, f.maintainer, pool.ID, u.ID, at.Offset, 5, bytes.NewReader(content[at.Offset:]))
	f.must(err)
	at, err = f.Continue(ctx, f.owner, pool.ID, u.ID, at.Offset+5, size-at.Offset-5, bytes.NewReader(content[at.Offset+5:]))
	f.must(err)
	if at.Done == nil || at.Done.SHA256 != sumOf(content) || f.contents(pool.ID)["big"] != string(content) {
		t.Fatalf("Continue(the rest) = %+v, want the file", at)
	}
	again, err := f.Continue(ctx, f.owner, pool.ID, u.ID, size, 0, strings.NewReader(""))
	if err != nil || again.Done == nil || again.Done.ID != at.Done.ID {
		t.Errorf("Continue(after the end) = %+v, %v; want the same file", again, err)
	}
	if n := f.stored(); n != 1 {
		t.Errorf("there are %d blobs, want the file only", n)
	}
}

// TestUploadWithAnotherChecksum makes no file.
func TestUploadWithAnotherChecksum(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx := t.Context()
	pool := f.pool("models")
	u, err := f.BeginUpload(ctx, f.owner, datapool.Upload{Pool: pool.ID, Name: "big", Size: 3, SHA256: sumOf([]byte("abc"))})
	f.must(err)
	_, err = f.Continue(ctx, f.owner, pool.ID, u.ID, 0, 3, strings.NewReader("abd"))
	f.wants("Continue(another content)", err, blob.ErrChecksum)
	_, err = f.Progress(ctx, f.owner, pool.ID, u.ID)
	f.wants("Progress after it", err, access.ErrNotFound)
	u, err = f.BeginUpload(ctx, f.owner, datapool.Upload{Pool: pool.ID, Name: "big", Size: 3})
	f.must(err)
	_, err = f.Continue(ctx, f.owner, pool.ID, u.ID, 0, 2, strings.NewReader("ab"))
	f.must(err)
	f.must(f.Abandon(ctx, f.owner, pool.ID, u.ID))
	if n := f.stored(); n != 0 {
		t.Errorf("there are %d blobs, want 0", n)
	}
	_, err = f.BeginUpload(ctx, f.owner, datapool.Upload{Pool: pool.ID, Name: "big", Size: 1 << 40})
	f.wants("BeginUpload(too much)", err, blob.ErrTooLarge)
}
