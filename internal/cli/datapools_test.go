package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/qhubctl/qhubctl/internal/blob/filestore"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/datapoolapi"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// withPools adds the routes of data pools.
func (h *hub) withPools(api *platformapi.API, db *sqlite.Store) {
	h.Helper()
	dir := h.TempDir()
	blobs, err := filestore.Open(filepath.Join(dir, "blobs"))
	h.must(err)
	pools, err := datapool.Open(h.Context(), datapool.Options{Store: db.DataPools(), Blobs: blobs, Access: h.Service, Dir: dir})
	h.must(err)
	h.Cleanup(func() { h.must(pools.Close()) })
	datapoolapi.Register(api, pools)
}

// breaks are how many connections break in the middle of a large body, of a request and
// of an answer.
type breaks struct {
	requests, answers atomic.Int32
	// sent counts the bytes of large requests.
	sent atomic.Int64
}

// breakAfter is where a connection breaks.
const breakAfter = 9 << 20

func (h *hub) breaking(w http.ResponseWriter, r *http.Request, api http.Handler) {
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/uploads/") {
		body := &breakingBody{ReadCloser: r.Body, sent: &h.sent, left: 1 << 40}
		if h.requests.Add(-1) >= 0 {
			body.left = breakAfter
		}
		r.Body = body
	}
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/files/") && h.answers.Add(-1) >= 0 {
		w = &breakingAnswer{w, breakAfter}
	}
	api.ServeHTTP(w, r)
}

type breakingBody struct {
	io.ReadCloser
	sent *atomic.Int64
	left int
}

func (b *breakingBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		panic(http.ErrAbortHandler)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	b.sent.Add(int64(n))
	return n, err
}

type breakingAnswer struct {
	http.ResponseWriter
	left int
}

func (a *breakingAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *breakingAnswer) Write(p []byte) (int, error) {
	if a.left <= 0 {
		panic(http.ErrAbortHandler)
	}
	n, err := a.ResponseWriter.Write(p[:min(len(p), a.left)])
	a.left -= n
	if err == nil && n < len(p) {
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// TestDataPoolCommands goes from a new data pool to files that were downloaded, by
// connections that break.
func TestDataPoolCommands(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	work := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(work, name)
		h.must(os.WriteFile(path, content, 0o600))
		return path
	}
	large := make([]byte, 20<<20)
	for i := range large {
		large[i] = byte(i * i >> 9)
	}
	small, big, empty := file("small.txt", []byte("small")), file("big.bin", large), file("empty", nil)
	h.run(0, h.token, "login", h.url)
	h.wantText(h.run(0, "", "datapools", "create", "models", "--short", "about models", "--tag", "Vision"), "models", "OWNER", "vision")
	h.wantText(h.run(2, "", "datapools", "create", "models"), "This name is taken")
	h.wantText(h.run(0, "", "datapools", "list"), "models")
	h.wantText(h.run(0, "", "datapools", "show", "models"), "about models")
	h.wantText(h.run(0, "", "__complete", "datapools", "files", "mo"), "models\n")

	h.wantText(h.run(0, "", "datapools", "upload", "models", small, empty), "small.txt", "5 B", "empty", "0 B")
	h.requests.Store(2)
	h.wantText(h.run(0, "", "datapools", "upload", "models", big, "--as", "weights/"), "weights/big.bin", "20.0 MiB")
	if sent := h.sent.Load(); sent > 24<<20 {
		t.Errorf("%d MiB were sent for a file of 20, want it to go on where it was", sent>>20)
	}
	h.wantText(h.run(2, "", "datapools", "upload", "models", "-"), "standard input cannot be uploaded", "write it to a file first")
	h.wantText(h.run(2, "", "datapools", "upload", "models", work), "is not a file")
	h.wantText(h.run(2, "", "datapools", "upload", "models", small, empty, "--as", "x"), "must be a folder")
	h.wantText(h.run(2, "", "datapools", "upload", "models", filepath.Join(work, "none")), "no such file")
	h.wantText(h.run(2, "", "datapools", "upload", "models", small, "--as", "../x"), "none may be . or ..")
	h.wantText(h.run(2, "", "datapools", "files", "nothing"), `no data pool "nothing"`)

	var listed []struct{ FullPath, SHA256 string }
	h.must(json.Unmarshal([]byte(h.run(0, "", "datapools", "files", "models", "--output", "json")), &listed))
	if len(listed) != 3 || listed[2].FullPath != "weights/big.bin" || len(listed[2].SHA256) != 64 {
		t.Errorf("files --output json = %+v, want three files with checksums", listed)
	}
	to := filepath.Join(work, "down")
	h.answers.Store(1)
	h.wantText(h.run(0, "", "datapools", "download", "models", "--to", to), filepath.Join(to, "weights", "big.bin"))
	if got, err := os.ReadFile(filepath.Join(to, "weights", "big.bin")); err != nil || !bytes.Equal(got, large) {
		t.Errorf("the downloaded file has %d bytes, %v; want the %d that were uploaded", len(got), err, len(large))
	}
	if left, err := filepath.Glob(filepath.Join(to, "*", ".download*")); err != nil || len(left) != 0 {
		t.Errorf("a download has left %q", left)
	}
	h.wantText(h.run(2, "", "datapools", "download", "models", "small.txt", "--to", to), "--force")
	h.wantText(h.run(0, "", "datapools", "download", "models", "small.txt", "--to", to, "--force"), "small.txt")
	h.wantText(h.run(2, "", "datapools", "download", "models", "--to", "-"), "cannot go to standard output")
	h.wantText(h.run(2, "", "datapools", "download", "models", "none"), `has no file "none"`)

	h.run(0, "", "apps", "create", "shop")
	grant := h.run(0, "", "datapools", "grant", "models", "shop", "--permission", "MODIFY", "--output", "json")
	var reference struct{ ID, Ref, Grant string }
	h.must(json.Unmarshal([]byte(grant), &reference))
	if got, err := h.OpenGrant(reference.Grant); err != nil || got.Permission != "MODIFY" || got.Pool != reference.ID || reference.Ref != "DATAPOOL" {
		t.Errorf("grant --output json = %s, want a reference with a grant (%v)", grant, err)
	}
	h.wantText(h.run(0, "", "datapools", "grant", "models", "shop", "--save", filepath.Join(work, "grant")), "written to")
	h.wantText(h.run(2, "", "datapools", "grant", "models", "shop", "--permission", "ALL"), "VIEW, MODIFY or GRANT")

	h.shares()

	h.wantText(h.run(2, "", "datapools", "rm", "models"), "--all")
	h.run(0, "", "datapools", "rm", "models", "small.txt", "empty")
	if out := h.run(0, "", "datapools", "files", "models"); strings.Contains(out, "small") || !strings.Contains(out, "big") {
		t.Errorf("files after rm = %s, want big.bin only", out)
	}
	h.run(0, "", "datapools", "rm", "models", "--all")
	if out := h.run(0, "", "datapools", "list"); strings.Contains(out, "models") {
		t.Errorf("list after rm --all = %s", out)
	}
}

// shares gives an organization a role, and takes it back.
func (h *hub) shares() {
	h.Helper()
	r := httptest.NewRequestWithContext(h.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("X-Auth-Token", h.token)
	owner, err := h.Authenticate(r)
	h.must(err)
	o, err := h.CreateOrganization(h.Context(), owner, "Team", "")
	h.must(err)
	h.wantText(h.run(0, "", "datapools", "share", "models", o.ID, "--role", "MAINTAINER", "--until", "2999-01-01"), o.ID, "MAINTAINER", "active")
	h.wantText(h.run(2, "", "datapools", "share", "models", o.ID, "--user"), "There is no such thing")
	as := []string{"QHUBCTL_ORGANIZATION=" + o.ID}
	h.wantText(h.runWith(0, "", as, "datapools", "list"), "models", "MAINTAINER")
	var shares []struct{ ID string }
	h.must(json.Unmarshal([]byte(h.run(0, "", "datapools", "shares", "models", "--output", "json")), &shares))
	if len(shares) != 1 {
		h.Fatalf("shares = %v, want one", shares)
	}
	h.run(0, "", "datapools", "unshare", "models", shares[0].ID)
	if out := h.runWith(0, "", as, "datapools", "list"); strings.Contains(out, "models") {
		h.Errorf("list after unshare = %s", out)
	}
}
