package hub_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// counter is a program for a hook: it prints the next value, and notes that before.
const counter = `#!/bin/sh
/bin/cat > /dev/null
n=$(( $(/bin/cat "$1" 2>/dev/null || echo 0) + 1 ))
echo $n > "$1.new" && /bin/mv "$1.new" "$1"
if [ -e "$1.fails" ]; then echo rotated-$n; echo rotated-$n >&2; exit 3; fi
echo rotated-$n
`

// rotating is a server process with a hook that counts.
type rotating struct {
	*vaulted
	file string // of the counter
	kill func()
	path string
}

func startRotating(t *testing.T) *rotating {
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := &rotating{file: filepath.Join(dir, "n")}
	if err := os.WriteFile(filepath.Join(dir, "counter"), []byte(counter), 0o700); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("[rotation.commands]\ncount = %q\n", filepath.Join(dir, "counter")+" "+r.file)
	if err := os.WriteFile(filepath.Join(dir, "server.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("QHUBCTL_SERVER_CONFIG", filepath.Join(dir, "server.toml"))
	r.path = filepath.Join(folder, "qhubctl")
	p, kill := startProcess(t, r.path, filepath.Join(t.TempDir(), "data"))
	r.vaulted, r.kill = &vaulted{platform: p, deployed: p.deploy("teller", "1.0.0", teller(t), "SUCCESS")}, kill
	service := "serviceId=" + r.id
	r.secret("db_password", service, "the-password-value", nil)
	r.secret("api_token", service, "rotated-0", nil)
	p.call(p.owner, http.MethodPut, secretsPath+"/api_token/hook?"+service, document{"command": "count", "every": "24h"}, http.StatusNoContent)
	return r
}

// TestRotationCommand rotates a secret by commands, with a hook that works and fails.
func TestRotationCommand(t *testing.T) {
	r := startRotating(t)
	c := &commander{platform: r.platform, program: r.path, work: t.TempDir(), home: t.TempDir(), values: []string{"rotated-1", "rotated-2", "rotated-3", "by-hand-value"}}
	c.run(0, "", "login", r.url, "--token", "@"+filepath.Join(r.dir, hubToken))
	of := []string{"--service", "teller"}
	if _, said := c.run(0, "", append([]string{"secrets", "rotate", "api_token"}, of...)...); !strings.Contains(said, "version 2") {
		t.Errorf("rotate without a value says %q, want version 2", said)
	}
	if out, _ := c.run(0, "", append([]string{"secrets", "show", "api_token"}, of...)...); !strings.Contains(out, "command count, every 24h") || !strings.Contains(out, "succeeded") {
		t.Errorf("show prints %s, want the hook and its success", out)
	}
	wants := func(when, value string) {
		t.Helper()
		if result := r.run(r.owner, r.url+r.deployed.path(), document{}); result.text("api_token") != digestOf(value) {
			t.Errorf("%s the service has got another value than %s", when, value)
		}
	}
	wants("after the rotation", "rotated-1")
	if err := os.WriteFile(r.file+".fails", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, said := c.run(2, "", append([]string{"secrets", "rotate", "api_token"}, of...)...); !strings.Contains(said, "keeps its value") || !strings.Contains(said, "exit status 3") {
		t.Errorf("rotate by a failing hook says %q, want the reason", said)
	}
	wants("after a failure", "rotated-1")
	if out, _ := c.run(0, "", append([]string{"secrets", "show", "api_token"}, of...)...); !strings.Contains(out, "failed: the program ended with exit status 3") {
		t.Errorf("show prints %s, want the failure", out)
	}
	if out, _ := c.run(0, "", "audit", "list"); strings.Count(out, "runSecretHook") != 2 || !strings.Contains(out, "FAILED") && !strings.Contains(out, "failed") {
		t.Errorf("audit list prints %s, want the success and the failure", out)
	}
	c.run(0, "by-hand-value\n", append([]string{"secrets", "rotate", "api_token"}, of...)...)
	wants("after a value by hand", "by-hand-value")
	c.run(2, "", append([]string{"secrets", "hook", "api_token"}, of...)...)
	c.run(2, "", append([]string{"secrets", "hook", "api_token", "--webhook", "https://169.254.169.254/x"}, of...)...)
	c.run(2, "", append([]string{"secrets", "hook", "api_token", "--command", "/bin/sh"}, of...)...)
	c.run(0, "", append([]string{"secrets", "hook", "api_token", "--remove"}, of...)...)
	c.run(2, "", append([]string{"secrets", "rotate", "api_token"}, of...)...)
	r.kill()
	r.noneHold("rotated-1", "rotated-2", "by-hand-value", "the-password-value")
}

// TestRotationKilledAtAnyMoment kills the server while a hook runs all the time. The secret
// has a value that the hook has given: the last that was confirmed, or a later one.
func TestRotationKilledAtAnyMoment(t *testing.T) {
	r := startRotating(t)
	dir, service, confirmed := r.dir, "?serviceId="+r.id, 0
	for round := range 4 {
		done := make(chan int)
		go func() {
			n := 0
			for r.try(t.Context(), http.MethodPost, secretsPath+"/api_token/hook/run"+service, "application/json", nil) == http.StatusOK {
				n++
			}
			done <- n
		}()
		time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
		r.kill()
		confirmed += <-done
		r.platform, r.kill = startProcess(t, r.path, dir)
		tried := 0
		text, _ := os.ReadFile(r.file)
		_, _ = fmt.Sscan(string(text), &tried)
		got, result := -1, r.run(r.owner, r.url+r.deployed.path(), document{})
		for n := confirmed; n <= tried; n++ {
			if result.text("api_token") == digestOf(fmt.Sprintf("rotated-%d", n)) {
				got = n
			}
		}
		if got < 0 {
			t.Fatalf("round %d: the secret has another value than the hook's from %d to %d", round, confirmed, tried)
		}
		shown := r.call(r.owner, http.MethodGet, secretsPath+"/api_token"+service, nil, http.StatusOK)
		if strings.Count(fmt.Sprint(shown["versions"]), "LIVE") != 1 {
			t.Errorf("round %d: the versions are %v, want one live", round, shown["versions"])
		}
		t.Logf("round %d: %d confirmed, %d tried, the secret has %d", round, confirmed, tried, got)
		confirmed = got // numbers of the hook, of which some were lost
	}
	if confirmed == 0 {
		t.Error("no rotation was confirmed: the test proves nothing")
	}
}
