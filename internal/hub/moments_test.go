package hub_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestKilledAtAnyMoment kills the server at random moments of deployments, rotations of
// access keys and of the master key. After each restart all confirmed changes are
// there, others are there whole or not at all, and each listed key works.
func TestKilledAtAnyMoment(t *testing.T) {
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "qhubctl")
	p, kill := startProcess(t, program, filepath.Join(t.TempDir(), "data"))
	p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	app := p.call(p.owner, http.MethodPost, "/qc-catalog/applications", document{"name": "shop"}, http.StatusCreated).text("id")
	const seed = 1
	random := rand.New(rand.NewPCG(seed, seed))
	revisions := 1 // that were confirmed
	for range 6 {
		ctx, cancel := context.WithCancel(t.Context())
		var working sync.WaitGroup
		confirmed := 0
		working.Go(func() {
			for ctx.Err() == nil {
				if p.try(ctx, http.MethodPost, "/qc-catalog/deployments?name=greeter", "application/zip", greeter(t, "welcome")) == http.StatusCreated {
					confirmed++
				}
			}
		})
		working.Go(func() {
			for ctx.Err() == nil {
				p.rotate(ctx, app)
			}
		})
		working.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, program, "keys", "rotate", "--data", p.dir).Run()
			}
		})
		moment := time.NewTimer(time.Duration(100+random.IntN(500)) * time.Millisecond)
		<-moment.C
		kill()
		cancel()
		working.Wait()

		p, kill = startProcess(t, program, p.dir)
		revisions += confirmed
		list, _ := p.call(p.owner, http.MethodGet, "/qc-catalog/services", nil, http.StatusOK)["list"].([]any)
		if len(list) != 1 {
			t.Fatalf("after a restart there are the services %v, want one", list)
		}
		id := document(list[0].(map[string]any)).text("id")
		all, _ := p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+id+"/revisions?size=1000", nil, http.StatusOK)["list"].([]any)
		// The last one may have been made without an answer, and the build of one may stand
		// for several requests with the same archive.
		if len(all) == 0 || len(all) > revisions+1 {
			t.Errorf("after a restart there are %d revisions, want at most the %d that were confirmed and one", len(all), revisions)
		}
		revisions = max(revisions, len(all))
		newest := document(all[0].(map[string]any)).text("id")
		p.built(deployed{id: id, revision: newest}, "SUCCESS")
		keys, _ := p.call(p.owner, http.MethodGet, "/qc-catalog/applications/"+app+"/access-keys", nil, http.StatusOK)["list"].([]any)
		if len(keys) == 0 || len(keys) > 2 {
			t.Errorf("after a restart there are %d access keys, want one or two", len(keys))
		}
		for _, key := range keys {
			k := document(key.(map[string]any))
			if status := p.token(k.text("accessKeyId"), k.text("secretAccessKey")); status != http.StatusOK {
				t.Errorf("POST /token with a key that is listed = %d, want 200", status)
			}
		}
	}
	if out, err := exec.CommandContext(t.Context(), program, "keys", "list", "--data", p.dir).CombinedOutput(); err != nil {
		t.Errorf("keys list = %v\n%s, want all secrets to open", err, out)
	}
}

// try makes a request that may be cut, and returns its status, or 0.
func (p *platform) try(ctx context.Context, method, path, contentType string, body []byte) int {
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(string(body)))
	if err != nil {
		return 0
	}
	r.Header.Set("X-Auth-Token", p.owner)
	r.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// rotate makes a key, or takes one away where there are two.
func (p *platform) rotate(ctx context.Context, app string) {
	path := "/qc-catalog/applications/" + app + "/access-keys"
	if p.try(ctx, http.MethodPost, path, "application/json", []byte("{}")) == http.StatusCreated {
		return
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, http.NoBody)
	if err != nil {
		return
	}
	r.Header.Set("X-Auth-Token", p.owner)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer func() { _ = response.Body.Close() }()
	var keys []document
	if json.NewDecoder(response.Body).Decode(&keys) == nil && len(keys) == 2 {
		p.try(ctx, http.MethodDelete, path+"/"+keys[1].text("accessKeyId"), "", nil)
	}
}

// token gets a token by an access key, and returns the status.
func (p *platform) token(id, secret string) int {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), http.MethodPost, p.url+"/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
