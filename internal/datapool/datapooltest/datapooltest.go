// Package datapooltest is the suite that every [datapool.Store] passes.
package datapooltest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/datapool"
)

// limit is more than any test makes.
const limit = 1000

// Run runs the suite. The function opens an empty store, and makes a tenant in it.
func Run(t *testing.T, open func(t *testing.T) (s datapool.Store, tenant func(name string) string)) {
	t.Helper()
	for name, test := range map[string]func(*fixture){
		"Pools": pools, "NamesAreUniqueInATenant": uniqueNames, "Pages": pages, "BoundsPools": boundsPools, "DeletesAPoolWhole": deletesPool,
		"Shares": shares, "SharesEnd": sharesEnd, "Files": files, "AFileKeepsItsID": keepsID, "AppliesAllOrNothing": allOrNothing,
		"FilesAndFolders": filesAndFolders, "StaleChanges": stale, "OneOfTwoChangesWins": race, "BoundsFiles": boundsFiles,
		"Uploads": uploads, "UploadsExpire": uploadsExpire, "BoundsUploads": boundsUploads,
	} {
		t.Run(name, func(t *testing.T) {
			s, tenant := open(t)
			test(&fixture{T: t, Store: s, tenant: tenant})
		})
	}
}

type fixture struct {
	*testing.T
	datapool.Store
	tenant func(name string) string
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wants(doing string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("%s = %v, want %v", doing, err, want)
	}
}

// now is a time as a store keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// pool makes one.
func (f *fixture) pool(tenant, name string) datapool.Pool {
	f.Helper()
	p := datapool.Pool{
		ID: uuid.NewString(), Tenant: tenant, Name: name, ShortDescription: "about " + name, Description: "all about " + name,
		Tags: []string{"a", "b"}, CreatedAt: now(),
	}
	f.must(f.CreatePool(f.Context(), p, limit))
	return p
}

func put(pool, name, content string) datapool.Change {
	return datapool.Change{Pool: pool, Name: name, File: &datapool.File{
		ID: uuid.NewString(), Pool: pool, Name: name, ContentType: "text/plain", Size: int64(len(content)),
		SHA256: "sum of " + content, Blob: "datapools/" + uuid.NewString(), CreatedAt: now(),
	}}
}

// add puts a file.
func (f *fixture) add(pool, name, content string) datapool.File {
	f.Helper()
	done, err := f.Apply(f.Context(), datapool.Changes{List: []datapool.Change{put(pool, name, content)}, Limit: limit})
	f.must(err)
	return done[0].File
}

func (f *fixture) names(pool string) []string {
	f.Helper()
	all, err := f.Files(f.Context(), pool)
	f.must(err)
	names := []string{}
	for _, file := range all {
		names = append(names, file.Name)
	}
	return names
}

func (f *fixture) wantNames(pool string, want ...string) {
	f.Helper()
	if got := f.names(pool); !slices.Equal(got, want) && len(got)+len(want) > 0 {
		f.Errorf("Files = %q, want %q", got, want)
	}
}

func pools(f *fixture) {
	ctx, tenant := f.Context(), f.tenant("a")
	p := f.pool(tenant, "first")
	got, err := f.Pool(ctx, p.ID)
	f.must(err)
	if got.Name != p.Name || got.Tenant != tenant || got.ShortDescription != p.ShortDescription || got.Description != p.Description ||
		!slices.Equal(got.Tags, p.Tags) || !got.CreatedAt.Equal(p.CreatedAt) || got.Role != "" {
		f.Errorf("Pool = %+v, want %+v", got, p)
	}
	p.Name, p.ShortDescription, p.Description, p.Tags = "renamed", "x", "y", nil
	f.must(f.UpdatePool(ctx, p))
	got, err = f.Reachable(ctx, tenant, p.ID, now())
	f.must(err)
	if got.Name != "renamed" || got.ShortDescription != "x" || got.Description != "y" || len(got.Tags) != 0 {
		f.Errorf("Reachable after UpdatePool = %+v, want the new texts", got)
	}
	_, err = f.Reachable(ctx, f.tenant("b"), p.ID, now())
	f.wants("Reachable(another tenant)", err, access.ErrNotFound)
	_, err = f.Pool(ctx, "none")
	f.wants("Pool(none)", err, access.ErrNotFound)
	f.wants("UpdatePool(none)", f.UpdatePool(ctx, datapool.Pool{ID: "none", Name: "n"}), access.ErrNotFound)
	_, err = f.DeletePool(ctx, "none")
	f.wants("DeletePool(none)", err, access.ErrNotFound)
}

func uniqueNames(f *fixture) {
	a, b := f.tenant("a"), f.tenant("b")
	first, second := f.pool(a, "same"), f.pool(a, "other")
	f.pool(b, "same")
	again := first
	again.ID = uuid.NewString()
	f.wants("CreatePool(a name that is taken)", f.CreatePool(f.Context(), again, limit), access.ErrExists)
	second.Name = "same"
	f.wants("UpdatePool(a name that is taken)", f.UpdatePool(f.Context(), second), access.ErrExists)
	if got, err := f.Pool(f.Context(), second.ID); err != nil || got.Name != "other" {
		f.Errorf("Pool after it = %+v, %v; want the former name", got, err)
	}
}

func pages(f *fixture) {
	a, b := f.tenant("a"), f.tenant("b")
	for i := range 5 {
		f.pool(a, fmt.Sprintf("pool %d", 4-i))
	}
	shared := f.pool(b, "pool 2b")
	_, err := f.Share(f.Context(), datapool.Share{ID: uuid.NewString(), Pool: shared.ID, Tenant: a, TenantKind: access.User, Role: access.Viewer, CreatedAt: now()})
	f.must(err)
	f.pool(b, "pool 0 of another tenant")
	list := func(limit, offset int) (names []string) {
		found, total, err := f.List(f.Context(), datapool.Query{Tenant: a, Now: now(), Limit: limit, Offset: offset})
		f.must(err)
		if total != 6 {
			f.Errorf("List counts %d pools, want 6", total)
		}
		for _, p := range found {
			names = append(names, p.Name+string(p.Role))
		}
		return names
	}
	if got, want := list(3, 2), []string{"pool 2", "pool 2bVIEWER", "pool 3"}; !slices.Equal(got, want) {
		f.Errorf("List(3 from 2) = %q, want %q", got, want)
	}
	if got := list(10, 6); len(got) != 0 {
		f.Errorf("List(behind the end) = %q, want nothing", got)
	}
}

func boundsPools(f *fixture) {
	a := f.tenant("a")
	f.pool(a, "first")
	p := datapool.Pool{ID: uuid.NewString(), Tenant: a, Name: "second", CreatedAt: now()}
	f.wants("CreatePool(beyond the bound)", f.CreatePool(f.Context(), p, 1), access.ErrConflict)
}

func deletesPool(f *fixture) {
	ctx, a := f.Context(), f.tenant("a")
	p := f.pool(a, "gone")
	one, two := f.add(p.ID, "one", "1"), f.add(p.ID, "two", "2")
	u := f.upload(p.ID, "three")
	blobs, err := f.DeletePool(ctx, p.ID)
	f.must(err)
	slices.Sort(blobs)
	want := []string{one.Blob, two.Blob}
	slices.Sort(want)
	if !slices.Equal(blobs, want) {
		f.Errorf("DeletePool = %q, want %q", blobs, want)
	}
	_, err = f.File(ctx, p.ID, one.ID)
	f.wants("File of a deleted pool", err, access.ErrNotFound)
	_, err = f.Upload(ctx, p.ID, u.ID)
	f.wants("Upload of a deleted pool", err, access.ErrNotFound)
	_, err = f.Apply(ctx, datapool.Changes{List: []datapool.Change{put(p.ID, "x", "x")}, Limit: limit})
	f.wants("Apply to a deleted pool", err, access.ErrNotFound)
	f.pool(a, "gone")
}

func shares(f *fixture) {
	ctx, a, b := f.Context(), f.tenant("a"), f.tenant("b")
	p := f.pool(a, "shared")
	given := datapool.Share{ID: uuid.NewString(), Pool: p.ID, Tenant: b, TenantKind: access.User, Role: access.Viewer, CreatedAt: now()}
	made, err := f.Share(ctx, given)
	f.must(err)
	if made != given {
		f.Errorf("Share = %+v, want %+v", made, given)
	}
	again := given
	again.ID, again.Role = uuid.NewString(), access.Maintainer
	made, err = f.Share(ctx, again)
	f.must(err)
	if made.ID != given.ID || made.Role != access.Maintainer {
		f.Errorf("Share(again) = %+v, want the same share with the new role", made)
	}
	got, err := f.Reachable(ctx, b, p.ID, now())
	f.must(err)
	if got.Role != access.Maintainer || got.Tenant != a {
		f.Errorf("Reachable(by a share) = %+v, want its role", got)
	}
	changed, err := f.ChangeShare(ctx, p.ID, given.ID, func(s *datapool.Share) error { s.Role = access.Owner; return nil })
	f.must(err)
	all, err := f.Shares(ctx, p.ID)
	f.must(err)
	if len(all) != 1 || all[0] != changed || changed.Role != access.Owner {
		f.Errorf("Shares = %+v, want the changed one, %+v", all, changed)
	}
	other := f.pool(a, "other")
	_, err = f.ChangeShare(ctx, other.ID, given.ID, func(*datapool.Share) error { return nil })
	f.wants("ChangeShare(of another pool)", err, access.ErrNotFound)
	f.wants("Unshare(of another pool)", f.Unshare(ctx, other.ID, given.ID), access.ErrNotFound)
	f.must(f.Unshare(ctx, p.ID, given.ID))
	_, err = f.Reachable(ctx, b, p.ID, now())
	f.wants("Reachable(after Unshare)", err, access.ErrNotFound)
	given.Pool = "none"
	_, err = f.Share(ctx, given)
	f.wants("Share(no pool)", err, access.ErrNotFound)
}

func sharesEnd(f *fixture) {
	ctx, a, b := f.Context(), f.tenant("a"), f.tenant("b")
	p, t := f.pool(a, "shared"), now()
	_, err := f.Share(ctx, datapool.Share{
		ID: uuid.NewString(), Pool: p.ID, Tenant: b, TenantKind: access.User, Role: access.Viewer, CreatedAt: t,
		ValidFrom: t.Add(time.Hour), ValidUntil: t.Add(2 * time.Hour),
	})
	f.must(err)
	for after, want := range map[time.Duration]bool{0: false, time.Hour: true, 119 * time.Minute: true, 2 * time.Hour: false} {
		_, err := f.Reachable(ctx, b, p.ID, t.Add(after))
		if (err == nil) != want {
			f.Errorf("Reachable %s after = %v, want a pool: %t", after, err, want)
		}
		_, total, err := f.List(ctx, datapool.Query{Tenant: b, Now: t.Add(after), Limit: 10})
		if err != nil || (total == 1) != want {
			f.Errorf("List %s after = %d, %v; want a pool: %t", after, total, err, want)
		}
	}
}

func files(f *fixture) {
	ctx := f.Context()
	p, other := f.pool(f.tenant("a"), "pool"), f.pool(f.tenant("b"), "pool")
	c := put(p.ID, "dir/b.txt", "content")
	done, err := f.Apply(ctx, datapool.Changes{List: []datapool.Change{c}, Limit: limit})
	f.must(err)
	want := *c.File
	want.Version = 1
	if got := done[0]; got.File != want || got.Replaced != "" {
		f.Errorf("Apply(a new file) = %+v, want %+v", got, want)
	}
	f.add(p.ID, "a.txt", "a")
	f.wantNames(p.ID, "a.txt", "dir/b.txt")
	if got, err := f.File(ctx, p.ID, want.ID); err != nil || got != want {
		f.Errorf("File = %+v, %v; want %+v", got, err, want)
	}
	_, err = f.File(ctx, other.ID, want.ID)
	f.wants("File(of another pool)", err, access.ErrNotFound)
	for key, used := range map[string]bool{want.Blob: true, "datapools/none": false} {
		if got, err := f.BlobUsed(ctx, key); err != nil || got != used {
			f.Errorf("BlobUsed(%q) = %t, %v; want %t", key, got, err, used)
		}
	}
	done, err = f.Apply(ctx, datapool.Changes{List: []datapool.Change{{Pool: p.ID, Name: "dir/b.txt"}}, Limit: limit})
	f.must(err)
	if done[0].Replaced != want.Blob || done[0].File != want {
		f.Errorf("Apply(a deletion) = %+v, want the content %s", done[0], want.Blob)
	}
	f.wantNames(p.ID, "a.txt")
	_, err = f.Apply(ctx, datapool.Changes{List: []datapool.Change{{Pool: p.ID, Name: "dir/b.txt"}}, Limit: limit})
	f.wants("Apply(a deletion of no file)", err, access.ErrNotFound)
}

func keepsID(f *fixture) {
	p := f.pool(f.tenant("a"), "pool")
	first := f.add(p.ID, "x", "1")
	done, err := f.Apply(f.Context(), datapool.Changes{List: []datapool.Change{put(p.ID, "x", "22")}, Limit: limit})
	f.must(err)
	got := done[0]
	if got.File.ID != first.ID || got.File.Version != 2 || got.File.Size != 2 || got.Replaced != first.Blob || got.File.Blob == first.Blob {
		f.Errorf("Apply(a file that exists) = %+v, want version 2 of %+v", got, first)
	}
}

func allOrNothing(f *fixture) {
	p := f.pool(f.tenant("a"), "pool")
	f.add(p.ID, "keep", "1")
	_, err := f.Apply(f.Context(), datapool.Changes{List: []datapool.Change{put(p.ID, "new", "1"), {Pool: p.ID, Name: "keep"}, {Pool: p.ID, Name: "none"}}, Limit: limit})
	f.wants("Apply(with a deletion of no file)", err, access.ErrNotFound)
	f.wantNames(p.ID, "keep")
}

func filesAndFolders(f *fixture) {
	p := f.pool(f.tenant("a"), "pool")
	for _, name := range []string{"a/b", "c", "d-", "d0"} {
		f.add(p.ID, name, "1")
	}
	for _, name := range []string{"a", "c/x", "c/x/y", "a/b/c"} {
		_, err := f.Apply(f.Context(), datapool.Changes{List: []datapool.Change{put(p.ID, name, "1")}, Limit: limit})
		f.wants("Apply("+name+")", err, access.ErrConflict)
	}
	f.add(p.ID, "d", "1")    // no folder
	f.add(p.ID, "a/bc", "1") // beside a file
	_, err := f.Apply(f.Context(), datapool.Changes{List: []datapool.Change{put(p.ID, "c/x", "1"), {Pool: p.ID, Name: "c"}}, Limit: limit})
	f.must(err)
	f.wantNames(p.ID, "a/b", "a/bc", "c/x", "d", "d-", "d0")
}

func based(c datapool.Change, version int64) datapool.Change {
	c.Based = &version
	return c
}

func stale(f *fixture) {
	p := f.pool(f.tenant("a"), "pool")
	f.add(p.ID, "x", "1")
	f.add(p.ID, "x", "2")
	for name, c := range map[string]datapool.Change{
		"an older version": based(put(p.ID, "x", "3"), 1), "a new file that is there": based(put(p.ID, "x", "3"), 0),
		"a file that is not there": based(put(p.ID, "y", "3"), 1), "a deletion of an older version": based(datapool.Change{Pool: p.ID, Name: "x"}, 1),
	} {
		_, err := f.Apply(f.Context(), datapool.Changes{List: []datapool.Change{put(p.ID, "z", "1"), c}, Limit: limit})
		f.wants("Apply("+name+")", err, datapool.ErrStale)
	}
	f.wantNames(p.ID, "x")
	_, err := f.Apply(f.Context(), datapool.Changes{List: []datapool.Change{based(put(p.ID, "x", "3"), 2), based(put(p.ID, "y", "3"), 0)}, Limit: limit})
	f.must(err)
	f.wantNames(p.ID, "x", "y")
}

func race(f *fixture) {
	p := f.pool(f.tenant("a"), "pool")
	f.add(p.ID, "x", "1")
	const callers = 8
	errs := make([]error, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			_, errs[i] = f.Apply(f.Context(), datapool.Changes{List: []datapool.Change{based(put(p.ID, "x", "2"), 1)}, Limit: limit})
		})
	}
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		f.wants("Apply in a race", err, datapool.ErrStale)
	}
	if won != 1 {
		f.Errorf("%d of %d changes of one version were made, want 1", won, callers)
	}
}

func boundsFiles(f *fixture) {
	p := f.pool(f.tenant("a"), "pool")
	f.add(p.ID, "x", "1")
	_, err := f.Apply(f.Context(), datapool.Changes{List: []datapool.Change{put(p.ID, "y", "1"), put(p.ID, "z", "1")}, Limit: 2})
	f.wants("Apply(beyond the bound)", err, access.ErrConflict)
	f.wantNames(p.ID, "x")
	_, err = f.Apply(f.Context(), datapool.Changes{List: []datapool.Change{put(p.ID, "y", "1"), {Pool: p.ID, Name: "x"}}, Limit: 1})
	f.must(err)
	f.wantNames(p.ID, "y")
}

func (f *fixture) upload(pool, name string) datapool.Upload {
	f.Helper()
	u := datapool.Upload{
		ID: uuid.NewString(), Pool: pool, Name: name, ContentType: "text/plain", Size: 10, SHA256: "sum", CreatedAt: now(), ExpiresAt: now().Add(time.Hour),
	}
	begun, err := f.CreateUpload(f.Context(), u, limit)
	f.must(err)
	if begun != u {
		f.Errorf("CreateUpload = %+v, want %+v", begun, u)
	}
	return u
}

// again begins an upload that differs from another one by its id only, or by its size.
func (f *fixture) again(u datapool.Upload, size int64, limit int) (datapool.Upload, error) {
	u.ID, u.Size = uuid.NewString(), size
	return f.CreateUpload(f.Context(), u, limit)
}

func uploads(f *fixture) {
	ctx := f.Context()
	p, other := f.pool(f.tenant("a"), "pool"), f.pool(f.tenant("b"), "pool")
	u := f.upload(p.ID, "x")
	if got, err := f.Upload(ctx, p.ID, u.ID); err != nil || got != u {
		f.Errorf("Upload = %+v, %v; want %+v", got, err, u)
	}
	_, err := f.Upload(ctx, other.ID, u.ID)
	f.wants("Upload(of another pool)", err, access.ErrNotFound)
	f.wants("DeleteUpload(of another pool)", f.DeleteUpload(ctx, other.ID, u.ID), access.ErrNotFound)
	f.wantNames(p.ID)
	if same, err := f.again(u, u.Size, limit); err != nil || same != u {
		f.Errorf("CreateUpload(the same file) = %+v, %v; want %+v", same, err, u)
	}
	if another, err := f.again(u, 11, limit); err != nil || another.ID == u.ID {
		f.Errorf("CreateUpload(another size) = %+v, %v; want another upload", another, err)
	}
	done, err := f.FinishUpload(ctx, u.ID, put(p.ID, "x", "0123456789"), limit)
	f.must(err)
	f.wantNames(p.ID, "x")
	if got, err := f.Upload(ctx, p.ID, u.ID); err != nil || got.File != done.File.ID {
		f.Errorf("Upload after FinishUpload = %+v, %v; want the file %s", got, err, done.File.ID)
	}
	_, err = f.FinishUpload(ctx, u.ID, put(p.ID, "y", "0123456789"), limit)
	f.wants("FinishUpload(again)", err, access.ErrNotFound)
	f.wantNames(p.ID, "x")
	f.must(f.DeleteUpload(ctx, p.ID, u.ID))
	_, err = f.Upload(ctx, p.ID, u.ID)
	f.wants("Upload(deleted)", err, access.ErrNotFound)
	u.Pool = "none"
	_, err = f.again(u, 10, limit)
	f.wants("CreateUpload(no pool)", err, access.ErrNotFound)
}

func uploadsExpire(f *fixture) {
	ctx := f.Context()
	p := f.pool(f.tenant("a"), "pool")
	u := f.upload(p.ID, "x")
	f.must(f.ExpireUploads(ctx, u.ExpiresAt.Add(-time.Second)))
	if there, err := f.Uploading(ctx, u.ID); err != nil || !there {
		f.Errorf("Uploading(before its end) = %t, %v; want true", there, err)
	}
	f.must(f.ExpireUploads(ctx, u.ExpiresAt))
	if there, err := f.Uploading(ctx, u.ID); err != nil || there {
		f.Errorf("Uploading(after its end) = %t, %v; want false", there, err)
	}
}

func boundsUploads(f *fixture) {
	ctx := f.Context()
	p := f.pool(f.tenant("a"), "pool")
	u := f.upload(p.ID, "x")
	_, err := f.again(u, 11, 1)
	f.wants("CreateUpload(beyond the bound)", err, access.ErrConflict)
	_, err = f.FinishUpload(ctx, u.ID, put(p.ID, "x", "0123456789"), limit)
	f.must(err)
	_, err = f.again(u, 10, 1) // complete ones do not count
	f.must(err)
}
