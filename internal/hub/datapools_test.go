package hub_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// keeper is an archive with the service that changes its data pool.
func keeper(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "service")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "-ldflags", "-s -w", "./testdata/keeper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build = %v\n%s", err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return archiveOf(t, map[string][]byte{"service": content})
}

const poolsPath = "/qc-catalog/datapools"

// newPool makes a data pool with files.
func (p *platform) newPool(token, name string, files map[string]string) string {
	p.Helper()
	id := p.call(token, http.MethodPost, poolsPath, document{"name": name}, http.StatusCreated).text("id")
	for name, content := range files {
		p.putFile(token, id, name, content)
	}
	return id
}

func (p *platform) putFile(token, pool, name, content string) {
	p.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", "x")
	if err == nil {
		_, err = part.Write([]byte(content))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		p.Fatal(err)
	}
	if status, answer := p.send(token, http.MethodPost, poolsPath+"/"+pool+"/files?filename="+name, w.FormDataContentType(), b.Bytes()); status != http.StatusCreated {
		p.Fatalf("POST file %s = %d %s", name, status, answer)
	}
}

// filesOf are the contents of a data pool.
func (p *platform) filesOf(token, pool string) map[string]string {
	p.Helper()
	contents := map[string]string{}
	list, _ := p.call(token, http.MethodGet, poolsPath+"/"+pool+"/files", nil, http.StatusOK)["list"].([]any)
	for _, one := range list {
		file := document(one.(map[string]any))
		_, content := p.send(token, http.MethodGet, poolsPath+"/"+pool+"/files/"+file.text("id"), "", nil)
		contents[file.text("fullPath")] = string(content)
	}
	return contents
}

func (p *platform) wantFiles(when, pool string, want map[string]string) {
	p.Helper()
	if got := p.filesOf(p.owner, pool); !maps.Equal(got, want) {
		p.Errorf("%s the pool has %q, want %q", when, got, want)
	}
}

func (p *platform) grant(token, pool, app, permission string) string {
	p.Helper()
	return p.call(token, http.MethodPost, poolsPath+"/"+pool+"/grants", document{"applicationId": app, "permission": permission}, http.StatusCreated).text("token")
}

// ended waits for the end of an execution, and returns it with its problem and its log.
func (p *platform) ended(token, endpoint string, in any) (status string, result document, log string) {
	p.Helper()
	id := p.call(token, http.MethodPost, endpoint, in, http.StatusCreated).text("id")
	e := p.call(token, http.MethodGet, endpoint+"/"+id+"?wait=60s", nil, http.StatusOK)
	result = p.call(token, http.MethodGet, endpoint+"/"+id+"/result", nil, http.StatusOK)
	_, text := p.send(token, http.MethodGet, endpoint+"/"+id+"/log", "", nil)
	return e.text("status"), result, string(text)
}

// TestDataPools mounts data pools into executions, and writes changes back.
func TestDataPools(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("keeper", "1.0.0", keeper(t), "SUCCESS")
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+s.id+"/publication", document{"scope": "INTERNAL"}, http.StatusNoContent)
	bearer, other := p.application(p.owner, "app", s.id), p.application(p.owner, "other", s.id)
	apps, _ := p.call(p.owner, http.MethodGet, "/qc-catalog/applications", nil, http.StatusOK)["list"].([]any)
	app := document(apps[0].(map[string]any)).text("id") // by name
	files := map[string]string{"a.txt": "one", "dir/b.bin": "\x00two"}
	id := p.newPool(p.owner, "models", files)
	second := p.newPool(p.owner, "second", nil)
	view, modify := p.grant(p.owner, id, app, "VIEW"), p.grant(p.owner, id, app, "MODIFY")
	pool := func(id, grant string) document {
		reference := document{"id": id, "ref": "DATAPOOL"}
		if grant != "" {
			reference["grant"] = grant
		}
		return reference
	}

	t.Run("refused", func(t *testing.T) {
		p := &platform{TB: t, url: p.url, owner: p.owner}
		for name, c := range map[string]struct {
			token string
			pool  any
			says  string
		}{
			"no grant":              {bearer, pool(id, ""), "needs a grant"},
			"another application":   {other, pool(id, view), "another application"},
			"a member with a grant": {p.owner, pool(id, view), "another application"},
			"another pool":          {bearer, pool(second, view), "another data pool"},
			"no grant at all":       {bearer, pool(id, "x.y.z"), "not valid, or has expired"},
			"another token":         {bearer, pool(id, strings.TrimPrefix(bearer, "Bearer ")), "not valid, or has expired"},
			"no pool":               {p.owner, pool("00000000-0000-4000-8000-000000000000", ""), "no such data pool"},
			"no reference":          {bearer, nil, "models"},
		} {
			answer := p.call(c.token, http.MethodPost, s.endpoint, document{"models": c.pool}, http.StatusBadRequest)
			text, _ := json.Marshal(answer)
			if !strings.Contains(string(text), c.says) || strings.Contains(string(text), view) {
				t.Errorf("POST with %s = %s, want it to say %q", name, text, c.says)
			}
		}
	})

	t.Run("viewed", func(t *testing.T) {
		p := &platform{TB: t, url: p.url, owner: p.owner}
		for range 2 { // the second time by the copies of the first
			status, result, log := p.ended(bearer, s.endpoint, document{"models": pool(id, view), "write": document{"a.txt": "changed"}})
			got, _ := result["files"].(map[string]any)
			if status != "SUCCEEDED" || got["a.txt"] != "one" || got["dir/b.bin"] != "\x00two" || len(got) != 2 || result.text("error") == "" {
				t.Errorf("an execution that may view = %s %v %s, want the files, and an error of its write", status, result, log)
			}
		}
		p.wantFiles("after it", id, files)
	})

	t.Run("unchanged", func(t *testing.T) {
		p := &platform{TB: t, url: p.url, owner: p.owner}
		if status, result, log := p.ended(bearer, s.endpoint, document{"models": pool(id, modify)}); status != "SUCCEEDED" {
			t.Errorf("an execution that changes nothing = %s %v %s", status, result, log)
		}
		list := p.call(p.owner, http.MethodGet, poolsPath+"/"+id+"/files", nil, http.StatusOK)
		if list["list"].([]any)[0].(map[string]any)["version"] != 1.0 {
			t.Errorf("after it the files are %v, want the first versions", list)
		}
	})

	t.Run("failed", func(t *testing.T) {
		p := &platform{TB: t, url: p.url, owner: p.owner}
		if status, _, _ := p.ended(bearer, s.endpoint, document{"models": pool(id, modify), "write": document{"a.txt": "changed"}, "fail": true}); status != "FAILED" {
			t.Errorf("an execution that fails = %s", status)
		}
		p.wantFiles("after an execution that has failed", id, files)
	})

	t.Run("written back", func(t *testing.T) {
		p := &platform{TB: t, url: p.url, owner: p.owner}
		status, result, log := p.ended(bearer, s.endpoint, document{
			"models": pool(id, modify), "write": document{"a.txt": "ONE", "new/c.txt": "three"}, "remove": []string{"dir"}, "link": "link",
			"secret": "leak.txt", "binary": "leak.bin", "$secrets": document{"api_token": "a-token-of-19-bytes"},
		})
		if status != "SUCCEEDED" || result.text("error") != "" {
			t.Errorf("an execution that may modify = %s %v %s", status, result, log)
		}
		p.wantFiles("after it", id, map[string]string{"a.txt": "ONE", "new/c.txt": "three", "leak.txt": "the token is [redacted]\n"})
		for _, want := range []string{"leak.bin", "it is not text and holds a secret", "link"} {
			if !strings.Contains(log, want) {
				t.Errorf("the log is %s, want it to say %q", log, want)
			}
		}
	})

	t.Run("by a job", func(t *testing.T) {
		p := &platform{TB: t, url: p.url, owner: p.owner}
		job := p.call(p.owner, http.MethodPost, "/qc-catalog/service-jobs", document{"serviceId": s.id, "input": document{
			"models": pool(second, ""), "write": document{"by-job": "x"},
		}}, http.StatusCreated).text("id")
		p.result(p.owner, s.endpoint, job)
		p.wantFiles("after a job", second, map[string]string{"by-job": "x"})
		p.call(p.owner, http.MethodPost, "/qc-catalog/service-jobs", document{"serviceId": s.id, "input": document{"models": pool(s.id, "")}}, http.StatusBadRequest)
	})

	t.Run("conflict", func(t *testing.T) {
		p := &platform{TB: t, url: p.url, owner: p.owner}
		meanwhile := make(chan struct{})
		gate := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-meanwhile }))
		defer gate.Close()
		e := p.call(bearer, http.MethodPost, s.endpoint, document{"models": pool(id, modify), "write": document{"a.txt": "LATE", "z.txt": "z"}, "wait": gate.URL}, http.StatusCreated).text("id")
		p.await(bearer, s.endpoint+"/"+e+"/log", "changed")
		p.putFile(p.owner, id, "a.txt", "EARLY")
		close(meanwhile)
		ended := p.call(bearer, http.MethodGet, s.endpoint+"/"+e+"?wait=60s", nil, http.StatusOK)
		result := p.call(bearer, http.MethodGet, s.endpoint+"/"+e+"/result", nil, http.StatusOK)
		if ended.text("status") != "FAILED" || !strings.Contains(result.text("detail"), "another caller has changed a file") || result.text("type") != "urn:qhubctl:problem:data-pool-not-written" {
			t.Errorf("an execution with a conflict = %v %v", ended, result)
		}
		p.wantFiles("after a conflict", id, map[string]string{"a.txt": "EARLY", "new/c.txt": "three", "leak.txt": "the token is [redacted]\n"})
	})
	p.call(p.owner, http.MethodDelete, poolsPath+"/"+id, nil, http.StatusNoContent)
	p.call(bearer, http.MethodPost, s.endpoint, document{"models": pool(id, view)}, http.StatusBadRequest)
}

// await waits until a log has a text.
func (p *platform) await(token, path, text string) {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), http.MethodGet, path, http.NoBody)
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("Authorization", token)
	r.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var seen bytes.Buffer
	buffer := make([]byte, 4096)
	for !strings.Contains(seen.String(), text) {
		n, err := response.Body.Read(buffer)
		seen.Write(buffer[:n])
		if err != nil {
			p.Fatalf("the log is %s, %v; want it to have %q", seen.String(), err, text)
		}
	}
}
