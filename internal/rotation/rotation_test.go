//go:build unix

package rotation_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/rotation"
	"github.com/qhubctl/qhubctl/internal/secretstore"
)

const canary = "canary-4711"

// place is that of a secret.
var place = secretstore.Place{Kind: secretstore.OfService, Tenant: "tenant", Service: "service", Name: "token"}

func shell(script string) []string { return []string{"/bin/sh", "-c", script} }

func TestCommands(t *testing.T) {
	t.Setenv("SECRET_X", canary)
	t.Setenv("PLAIN", canary)
	hooks := rotation.New(rotation.Options{Time: 3 * time.Second, Commands: map[string][]string{
		"prints": shell("echo " + canary), "two": shell("printf '" + canary + "\\nx\\n'"), "names": shell("cat"),
		"environment": shell("/usr/bin/env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= ; echo end"), "fails": shell("echo " + canary + "; echo " + canary + " >&2; exit 7"),
		"nothing": shell("exit 0"), "hangs": shell("/bin/sleep 100 & echo " + canary + "; /bin/sleep 100"), "endless": shell("while :; do echo " + canary + "; done"),
		"large": shell("/usr/bin/head -c 100000 /dev/zero | /usr/bin/tr '\\0' x"), "binary": shell("printf '\\377" + canary + "'"), "missing": {"/nothing/" + canary},
	}})
	for name, want := range map[string]string{
		"prints": canary, "two": canary + "\nx", "names": `{"secret":"token","account":"tenant","service":"service"}`, "environment": "end",
	} {
		value, err := hooks.Fetch(t.Context(), secretstore.Hook{Command: name}, place)
		if err != nil || string(value.Reveal()) != want {
			t.Errorf("Fetch(%s) = %q, %v, want %q", name, value.Reveal(), err, want)
		}
	}
	for name, want := range map[string]string{
		"fails": "exit status 7", "nothing": "empty", "hangs": "within 3s", "endless": "within 3s", "large": "longer than 64 KiB", "binary": "not UTF-8", "missing": "could not be run", "unknown": "no such command",
	} {
		begun := time.Now()
		value, err := hooks.Fetch(t.Context(), secretstore.Hook{Command: name}, place)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) || value.Len() > 0 {
			t.Errorf("Fetch(%s) = %v, want an error with %q and nothing that the program printed", name, err, want)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("Fetch(%s) took %s, want about 3 s at most", name, took)
		}
	}
}

// TestCommandsHaveFolders gives each run of a program an empty folder, which is removed
// with what the program leaves, as are its processes.
func TestCommandsHaveFolders(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	hooks := rotation.New(rotation.Options{Time: 30 * time.Second, Commands: map[string][]string{
		"leaves": shell("echo " + canary + " > left; /bin/sleep 1000 </dev/null >/dev/null 2>&1 & echo $! $(/usr/bin/find . | /usr/bin/wc -l) $(/usr/bin/stat -c %a .)"),
	}})
	for range 2 {
		value, err := hooks.Fetch(t.Context(), secretstore.Hook{Command: "leaves"}, place)
		if err != nil {
			t.Fatal(err)
		}
		var process, files, mode int
		if _, err := fmt.Sscan(string(value.Reveal()), &process, &files, &mode); err != nil || files != 2 || mode != 700 {
			t.Errorf("the program prints %q, want an empty folder for its user alone", value.Reveal())
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("%v, %v is left, want no folder", left, err)
		}
		deadline := time.Now().Add(20 * time.Second) // until its parent has waited for it
		for syscall.Kill(process, 0) == nil && !zombie(process) {
			if time.Now().After(deadline) {
				t.Fatalf("the process %d is left, want it ended", process)
			}
			runtime.Gosched()
		}
	}
}

// zombie reports whether a process has ended and was not waited for.
func zombie(process int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(canary)) }))
	defer other.Close()
	var got string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/value", "/again":
			body, _ := io.ReadAll(r.Body)
			got = r.Method + " " + string(body)
			_, _ = w.Write([]byte(canary + "\r\n"))
		case "/same":
			http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
		case "/elsewhere":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/plain":
			http.Redirect(w, r, "http://"+r.Host+"/value", http.StatusTemporaryRedirect) //nolint:gosec // the client must refuse it
		case "/hangs":
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client has gone
			<-r.Context().Done()
		case "/breaks":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(canary))
		case "/empty":
		default:
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(canary))
		}
	}))
	defer server.Close()
	hooks := rotation.New(rotation.Options{Client: server.Client(), Time: 3 * time.Second, Hosts: []string{strings.TrimPrefix(server.URL, "https://")}})
	for _, path := range []string{"/value", "/same"} {
		value, err := hooks.Fetch(t.Context(), secretstore.Hook{Webhook: server.URL + path}, place)
		if err != nil || string(value.Reveal()) != canary || got != `POST {"secret":"token","account":"tenant","service":"service"}` {
			t.Errorf("Fetch(%s) = %q, %v after %s, want the answer to a POST with the names", path, value.Reveal(), err, got)
		}
	}
	for path, want := range map[string]string{
		"/forbidden": "answered 403", "/loop": "redirects", "/elsewhere": "redirects", "/plain": "redirects", "/hangs": "within 3s", "/breaks": "broke off", "/empty": "empty",
	} {
		value, err := hooks.Fetch(t.Context(), secretstore.Hook{Webhook: server.URL + path}, place)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) || value.Len() > 0 {
			t.Errorf("Fetch(%s) = %v, want an error with %q and nothing of the answer", path, err, want)
		}
	}
	distrusting := rotation.New(rotation.Options{Hosts: []string{strings.TrimPrefix(server.URL, "https://")}})
	if _, err := distrusting.Fetch(t.Context(), secretstore.Hook{Webhook: server.URL + "/value"}, place); err == nil || !strings.Contains(err.Error(), "does not prove") {
		t.Errorf("Fetch(unknown certificate) = %v, want an error", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	hooks := rotation.New(rotation.Options{Hosts: []string{"vault.example", "127.0.0.1:8200", "10.0.0.1", "localhost"}, Commands: map[string][]string{"new": {"/bin/true"}}})
	for hook, want := range map[secretstore.Hook]bool{
		{Command: "new"}: true, {Command: "other"}: false, {Command: "/bin/true"}: false, {Command: "new; id"}: false,
		{Webhook: "https://vault.example/a"}: true, {Webhook: "https://VAULT.example/a?b=c"}: true, {Webhook: "http://127.0.0.1:8200/a"}: true, {Webhook: "https://127.0.0.1:8200/a"}: true,
		{Webhook: "http://vault.example/a"}: false, {Webhook: "https://vault.example:8443/a"}: false, {Webhook: "https://other.example/a"}: false, {Webhook: "http://127.0.0.1:8201/a"}: false,
		{Webhook: "http://10.0.0.1/a"}: false, {Webhook: "http://localhost/a"}: false, {Webhook: "https://u:p@vault.example/a"}: false, {Webhook: "file:///etc/passwd"}: false, {Webhook: "https:vault.example"}: false,
		{Webhook: "https://169.254.169.254/latest"}: false, {Webhook: "https://vault.example@evil.example/"}: false, {Webhook: "//vault.example/a"}: false, {Webhook: canary}: false,
	} {
		if err := hooks.Check(hook); (err == nil) != want {
			t.Errorf("Check(%s) = %v, want allowed %v", hook, err, want)
		}
	}
	if rotation.New(rotation.Options{}).Any() {
		t.Error("Any() without options = true, want false")
	}
}

func TestFetchStops(t *testing.T) {
	t.Parallel()
	hooks := rotation.New(rotation.Options{Commands: map[string][]string{"hangs": shell("/bin/sleep 100")}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hooks.Fetch(ctx, secretstore.Hook{Command: "hangs"}, place); err == nil {
		t.Error("Fetch(ended ctx) = nil, want an error")
	}
}
