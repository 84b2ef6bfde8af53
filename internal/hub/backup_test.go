package hub_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestBackup backs a platform up while applications call it, several times, and goes on
// with each backup in another folder: services answer, callers are known, and each
// execution that had succeeded has its result.
func TestBackup(t *testing.T) {
	ofFile(t)
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "qhubctl")
	qhubctl := func(want int, args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), program, append([]string{"server"}, args...)...)
		var said bytes.Buffer
		command.Stderr = &said
		_ = command.Run()
		if code := command.ProcessState.ExitCode(); code != want {
			t.Fatalf("qhubctl server %q = %d, want %d\n%s", args, code, want, said.String())
		}
		return said.String()
	}
	work := t.TempDir()
	p, kill := startProcess(t, program, filepath.Join(work, "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+s.id+"/publication", document{"scope": "INTERNAL"}, http.StatusNoContent)
	bearer := p.application(p.owner, "shop", s.id)
	endpoint := p.url + s.path()

	// A result of 200 kB is a file.
	large := document{"name": strings.Repeat("x", 200_000), "$secrets": document{"api_token": "a-token-of-this-caller"}}
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if result := p.run(bearer, endpoint, large); len(result.text("hello")) != 200_000 {
					t.Errorf("the result has %d characters, want 200000", len(result.text("hello")))
					return
				}
			}
		})
	}
	var files []string
	for _, name := range []string{"1.tar", "2.tar", "3.tar"} {
		file := filepath.Join(work, name)
		if said := qhubctl(0, "backup", file, "--data", p.dir); !strings.Contains(said, "the master key is not among them") {
			t.Errorf("server backup says %q", said)
		}
		files = append(files, file)
	}
	close(stop)
	callers.Wait()
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has mode %v, %v, want 600", info.Mode(), err)
	}
	qhubctl(2, "backup", files[0], "--data", p.dir)                                 // it exists
	qhubctl(2, "backup", filepath.Join(work, "x"), "--data", t.TempDir())           // there is no platform
	qhubctl(2, "restore", files[0], "--data", p.dir)                                // it is in use
	qhubctl(2, "restore", filepath.Join(work, "y"), "--data", work+"/of-no-backup") // there is no file
	key, err := os.ReadFile(filepath.Join(p.dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	kill()
	kept, other := filepath.Join(work, "kept.key"), filepath.Join(work, "other.key")
	for path, content := range map[string]string{kept: string(key), other: "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if said := qhubctl(2, "restore", files[0], "--data", filepath.Join(work, "wrong"), "--master-key", "@"+other); !strings.Contains(said, "does not open the secrets of this backup") {
		t.Errorf("restore with another key says %q", said)
	}
	for _, file := range files {
		dir := file + ".restored"
		qhubctl(0, "restore", file, "--data", dir, "--master-key", "@"+kept)
		if err := os.WriteFile(filepath.Join(dir, "master.key"), key, 0o600); err != nil {
			t.Fatal(err)
		}
		again, kill := startProcess(t, program, dir)
		again.restored(s, bearer)
		kill()
	}
}

// restored looks at a restored platform with the token of an application from before.
func (p *platform) restored(s deployed, bearer string) {
	p.Helper()
	endpoint := p.url + s.path()
	if result := p.run(bearer, endpoint, document{"name": "you"}); result.text("hello") != "you" {
		p.Errorf("after the restore the result is %v, want that of the service", result)
	}
	list := p.call(p.owner, http.MethodGet, "/qc-catalog/service-executions?size=100", nil, http.StatusOK)
	content, _ := list["content"].([]any)
	succeeded := 0
	for _, entry := range content {
		e := document(entry.(map[string]any))
		if e.text("status") != "SUCCEEDED" {
			continue
		}
		succeeded++
		p.call(bearer, http.MethodGet, endpoint+"/"+e.text("id")+"/result", nil, http.StatusOK)
	}
	if succeeded == 0 {
		p.Errorf("after the restore no execution has succeeded: %v", list)
	}
}
