package hub_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestKilledUpload kills the server in the middle of two uploads: one as a whole, of which
// nothing is left, and one in pieces, which goes on after the restart.
func TestKilledUpload(t *testing.T) {
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "qhubctl")
	dir := filepath.Join(t.TempDir(), "data")
	p, kill := startProcess(t, program, dir)
	pool := p.newPool(p.owner, "models", map[string]string{"kept": "kept"})
	content := make([]byte, 20<<20)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	sum := sha256.Sum256(content)
	upload := p.call(p.owner, http.MethodPost, poolsPath+"/"+pool+"/uploads", document{
		"fullPath": "big", "size": len(content), "sha256": hex.EncodeToString(sum[:]),
	}, http.StatusCreated).text("id")
	address := poolsPath + "/" + pool + "/uploads/" + upload

	ended := make(chan struct{}, 2)
	half := func(method, path, name, value, kind, head string) *io.PipeWriter {
		from, to := io.Pipe()
		go func() {
			defer func() { ended <- struct{}{} }()
			r, err := http.NewRequestWithContext(t.Context(), method, p.url+path, from)
			if err != nil {
				return
			}
			r.Header.Set("X-Auth-Token", p.owner)
			r.Header.Set(name, value)
			r.Header.Set("Content-Type", kind)
			if response, err := http.DefaultClient.Do(r); err == nil {
				_ = response.Body.Close()
			}
		}()
		if _, err := io.WriteString(to, head); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(content[:18<<20]); err != nil {
			t.Fatal(err)
		}
		return to
	}
	pieces := half(http.MethodPut, address, "Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(content)-1, len(content)), "application/octet-stream", "")
	whole := half(http.MethodPost, poolsPath+"/"+pool+"/files?filename=whole", "X-Other", "1", "multipart/form-data; boundary=b",
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n")
	p.awaitPieces(dir, 2)
	kill()
	_, _ = pieces.Close(), whole.Close()
	<-ended
	<-ended

	p, _ = startProcess(t, program, dir)
	p.wantFiles("after the server was killed", pool, map[string]string{"kept": "kept"})
	if found, err := filepath.Glob(filepath.Join(dir, "blobs", "pending", "*")); err != nil || len(found) != 0 {
		t.Errorf("after the restart there are %q, want no unfinished file", found)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, p.url+address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", p.owner)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	offset, err := strconv.Atoi(response.Header.Get("Upload-Offset"))
	if err != nil || offset != 16<<20 {
		t.Fatalf("HEAD after the restart = %d, Upload-Offset %q, want two pieces", response.StatusCode, response.Header.Get("Upload-Offset"))
	}
	status, answer := p.sendRange(address, content, offset)
	if status != http.StatusOK {
		t.Fatalf("PUT the rest = %d %s", status, answer)
	}
	p.wantFiles("after the rest", pool, map[string]string{"kept": "kept", "big": string(content)})
}

// sendRange sends the rest of an upload.
func (p *platform) sendRange(address string, content []byte, offset int) (int, []byte) {
	p.Helper()
	from, to := io.Pipe()
	go func() {
		_, err := to.Write(content[offset:])
		_ = to.CloseWithError(err)
	}()
	r, err := http.NewRequestWithContext(p.Context(), http.MethodPut, p.url+address, from)
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", p.owner)
	r.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, len(content)-1, len(content)))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		p.Fatal(err)
	}
	return response.StatusCode, answer
}

// awaitPieces waits until pieces of an upload are durable.
func (p *platform) awaitPieces(dir string, n int) {
	p.Helper()
	for range 10_000 {
		found, err := filepath.Glob(filepath.Join(dir, "blobs", "objects", "datapool-uploads", "*", "*.blob"))
		if err != nil {
			p.Fatal(err)
		}
		if len(found) >= n {
			return
		}
		p.send(p.owner, http.MethodGet, "/healthz", "", nil) // takes a moment
	}
	p.Fatalf("there are not %d pieces", n)
}
