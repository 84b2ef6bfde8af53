//go:build unix

package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const someID = "5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c"

// hostile is a server that gives a result with the files of its choice.
func hostile(t *testing.T, name string, answer http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/result") {
			_, _ = fmt.Fprintf(w, `{"_links": {%q: {"href": "/x"}}, "_embedded": {"status": {"id": %q, "status": "SUCCEEDED"}}}`, name, someID)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestDownloadStaysInItsFolder(t *testing.T) {
	t.Parallel()
	content := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "from the server") }
	for _, name := range []string{"../x", "/etc/x", "a/../../x", "a//b", "..", ".", ""} {
		outer := t.TempDir()
		dir := filepath.Join(outer, "inner")
		_, errs, code := call(t, "executions", "files", someID, "--download", dir, "--url", hostile(t, name, content).URL)
		if code != 1 || !strings.Contains(errs, "which is not written here") {
			t.Errorf("download of the file %q = %d %s, want 1 and a refusal", name, code, errs)
		}
		if entries, err := os.ReadDir(outer); err != nil || len(entries) > 1 {
			t.Errorf("download of the file %q left %v, %v outside of the folder, want nothing", name, entries, err)
		}
	}
	for _, name := range []string{"a/b c/d.txt", "plain", "status"} {
		dir := t.TempDir()
		out, errs, code := call(t, "executions", "files", someID, "--download", dir, "--url", hostile(t, "./"+name, content).URL)
		path := filepath.Join(dir, filepath.FromSlash(name))
		if text, err := os.ReadFile(path); code != 0 || err != nil || string(text) != "from the server" || out != path+"\n" {
			t.Errorf("download of the file %q = %d %s %s, content %q, %v, want it below the folder", name, code, errs, out, text, err)
		}
	}
	// A folder that is a link out of it is not entered.
	inner, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(inner, "a")); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := call(t, "executions", "files", someID, "--download", inner, "--url", hostile(t, "a/b", content).URL); code != 1 {
		t.Errorf("download of a file below a link = %d %s, want 1", code, errs)
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("the target of the link holds %v, %v, want nothing", entries, err)
	}
	// A link that is there already is replaced, not followed.
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	if err := os.Symlink(outside, filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := call(t, "executions", "files", someID, "--download", dir, "--url", hostile(t, "x", content).URL); code != 0 {
		t.Errorf("download over a link = %d %s, want 0", code, errs)
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("the download followed a link, want the link replaced")
	}
}

func TestDownloadLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	server := hostile(t, "x", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	dir := t.TempDir()
	_, errs, code := call(t, "executions", "files", someID, "--download", dir, "--url", server.URL)
	if code != 1 || !strings.Contains(errs, "cannot write x") {
		t.Errorf("a download that breaks off = %d %s, want 1 and the name of the file", code, errs)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("a download that breaks off left %v, %v, want nothing", entries, err)
	}
}

func TestWhatAServerSaysGivesTheTerminalNoOrders(t *testing.T) {
	t.Parallel()
	server := hostile(t, "\x1b]0;name\x07", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `[{"message":"a\u001b[2Jb\u009bc\td","severity":"INFO","timestamp":"2026-01-31T22:38:09Z"}]`)
	})
	for _, arguments := range [][]string{{"log", someID}, {"files", someID}, {"result", someID}} {
		out, errs, _ := call(t, append([]string{"executions", "--url", server.URL}, arguments...)...)
		if strings.ContainsAny(out+errs, "\x1b\u009b\x07") {
			t.Errorf("%v printed %q %q, want no control characters", arguments, out, errs)
		}
	}
}

func TestExecutionsWithoutAServer(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close() // its port is free now
	t.Setenv("QHUBCTL_URL", server.URL)
	_, errs, code := call(t, "executions", "list")
	if code != 2 || !strings.Contains(errs, "does not answer") || !strings.Contains(errs, "qhubctl serve") {
		t.Errorf("executions list without a server = %d %s, want 2 and a hint", code, errs)
	}
	_, errs, code = call(t, "executions", "list", "--url", (&url.URL{Scheme: "http", User: url.UserPassword("u", "pass-w0rd"), Host: "h"}).String())
	if code != 2 || strings.Contains(errs, "w0rd") {
		t.Errorf("executions list with a password in the URL = %d %s, want 2 and no password", code, errs)
	}
}
