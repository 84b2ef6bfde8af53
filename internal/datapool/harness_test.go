package datapool_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/blob/filestore"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/sqlite/sqlitetest"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// A fixture is a service over a real store, with an organization of three members, and
// another user.
type fixture struct {
	*testing.T
	*datapool.Service
	dir     string
	blobs   *filestore.Store
	access  *access.Service
	advance atomic.Int64

	owner, maintainer, viewer, stranger access.Principal
	app, otherApp                       access.Principal
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, dir: t.TempDir()}
	ring, err := vault.FromText([]byte("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	f.must(err)
	db, err := sqlitetest.Open(t.Context(), filepath.Join(f.dir, "store.db"), sqlite.Options{})
	f.must(err)
	t.Cleanup(func() { f.must(db.Close()) })
	now := func() time.Time { return time.Now().Add(time.Duration(f.advance.Load())) }
	f.access, err = access.Open(t.Context(), access.Options{Store: db.Access(), Keyring: ring, Now: now})
	f.must(err)
	t.Cleanup(func() { f.must(f.access.Close()) })
	f.blobs, err = filestore.Open(filepath.Join(f.dir, "blobs"))
	f.must(err)
	f.Service, err = datapool.Open(t.Context(), datapool.Options{
		Store: db.DataPools(), Blobs: f.blobs, Access: f.access, Dir: filepath.Join(f.dir, "datapools"), MaxFile: 20 << 20, MaxFiles: 10, Now: now,
	})
	f.must(err)
	t.Cleanup(func() { f.must(f.Close()) })
	f.people()
	return f
}

func (f *fixture) people() {
	f.Helper()
	ctx := f.Context()
	value, err := f.access.OwnerToken(ctx, "owner")
	f.must(err)
	personal := f.as(string(value.Reveal()), "")
	team, err := f.access.CreateOrganization(ctx, personal, "Team", "")
	f.must(err)
	join := func(name string, role access.Role) string {
		_, invitation, err := f.access.Invite(ctx, personal, team.ID, "", role)
		f.must(err)
		_, _, token, err := f.access.Redeem(ctx, invitation, name, "", "127.0.0.1:1")
		f.must(err)
		return string(token.Reveal())
	}
	f.owner = f.as(string(value.Reveal()), team.ID)
	f.maintainer, f.viewer = f.as(join("maintainer", access.Maintainer), team.ID), f.as(join("viewer", access.Viewer), team.ID)
	f.stranger = f.as(join("stranger", access.Viewer), "")
	f.app, f.otherApp = f.application("app"), f.application("other")
}

func (f *fixture) as(token, organization string) access.Principal {
	f.Helper()
	r := httptest.NewRequestWithContext(f.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("X-Auth-Token", token)
	r.Header.Set("X-OrganizationId", organization)
	p, err := f.access.Authenticate(r)
	f.must(err)
	return p
}

func (f *fixture) application(name string) access.Principal {
	f.Helper()
	app, err := f.access.CreateApplication(f.Context(), f.owner, name)
	f.must(err)
	keys, err := f.access.AccessKeys(f.Context(), f.owner, app.ID)
	f.must(err)
	token, err := f.access.IssueToken(f.Context(), keys[0].ID, keys[0].Secret, "127.0.0.1:1")
	f.must(err)
	return f.as(string(token.Reveal()), "")
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

// pool makes one of the organization.
func (f *fixture) pool(name string) datapool.Pool {
	f.Helper()
	p, err := f.Create(f.Context(), f.owner, datapool.Pool{Name: name})
	f.must(err)
	return p
}

func (f *fixture) put(pool, name, content string) datapool.File {
	f.Helper()
	file, err := f.Put(f.Context(), f.owner, pool, name, "", "", bytes.NewReader([]byte(content)))
	f.must(err)
	return file
}

// contents are the files of a pool.
func (f *fixture) contents(pool string) map[string]string {
	f.Helper()
	all, err := f.Files(f.Context(), f.owner, pool)
	f.must(err)
	contents := map[string]string{}
	for _, file := range all {
		_, object, err := f.Open(f.Context(), f.owner, pool, file.ID)
		f.must(err)
		content, err := io.ReadAll(object)
		f.must(err)
		f.must(object.Close())
		contents[file.Name] = string(content)
	}
	return contents
}

// stored counts the blobs of data pools.
func (f *fixture) stored() (n int) {
	f.Helper()
	f.must(f.blobs.List(context.Background(), "datapool", func(blob.Info) error { n++; return nil }))
	return n
}

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
