//go:build unix

package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// A lost or wrong key is said at the start, and nothing is destroyed by it.
func TestServeWithoutTheKey(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	id := k.wait(k.ring(k.key))
	kept := filepath.Join(t.TempDir(), "kept.key")
	if err := os.Rename(k.key, kept); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.key")
	k.ring(other)
	damaged := fileOf(t, "1:S0tLS0tLS0s=\n")
	wide := fileOf(t, "1:")
	if err := os.Chmod(wide, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		flags []string
		says  []string
	}{
		"lost":        {nil, []string{"the secrets of 1 execution cannot be opened", k.key + ": there is no such file", "nothing was changed"}},
		"wrong":       {[]string{"--master-key", "@" + other}, []string{"version 1 is another key than the one that sealed", "nothing was changed"}},
		"not there":   {[]string{"--master-key", "@" + filepath.Join(k.dir, "nowhere")}, []string{"there is no such file"}},
		"damaged":     {[]string{"--master-key", "@" + damaged}, []string{"the master key cannot be read: line 1", "hint: a key is a line VERSION:KEY"}},
		"wide open":   {[]string{"--master-key", "@" + wide}, []string{"can be read by others", "chmod 600"}},
		"no variable": {[]string{"--master-key", "env:QHUBCTL_TEST_NO_KEY"}, []string{"the variable QHUBCTL_TEST_NO_KEY is not set"}},
		"no command":  {[]string{"--master-key", "command:false"}, []string{"false ended with exit status 1", "hint: run the command yourself"}},
		"in argv":     {[]string{"--master-key", "1:S0tLS0tLS0s="}, []string{"not the key itself"}},
		"no quote":    {[]string{"--master-key", "command:cat 'x"}, []string{"a program and its arguments are expected"}},
	} {
		flags := slices.Concat([]string{"serve", k.workspace, "--no-sandbox", "--port", "0", "--python", runnertest.SDKPython(t).Interpreter}, test.flags)
		out, errs, code := call(t, flags...)
		if code != 2 || out != "" || strings.Contains(errs, "S0tL") {
			t.Errorf("serve with %s = %d %s %s, want 2 and no key in the output", name, code, out, errs)
		}
		for _, text := range test.says {
			if !strings.Contains(errs, text) {
				t.Errorf("serve with %s printed no %q, want it in\n%s", name, text, errs)
			}
		}
	}
	if _, err := os.Stat(k.key); err == nil {
		t.Error("a new key is in the place of the lost one, want none")
	}
	if err := os.Rename(kept, k.key); err != nil {
		t.Fatal(err)
	}
	k.wantList("1:1 seals")
	k.serve().wantSuccess(id)
}

// The server notices rows that were exchanged or changed on the disk: at its start,
// and when it opens them. Other rows are not affected.
func TestServeNoticesTampering(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	ring := k.ring(k.key)
	exchanged, other, changed, fine := k.wait(ring), k.wait(ring), k.wait(ring), k.wait(ring)
	rows := map[vault.Owner]vault.Sealed{}
	k.open(func(executions *sqlite.Store) {
		reseal := func(f func(vault.Owner, vault.Sealed) vault.Sealed) {
			if _, err := executions.Reseal(t.Context(), func(id vault.Owner, sealed vault.Sealed) (vault.Sealed, bool, error) {
				return f(id, bytes.Clone(sealed)), true, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		reseal(func(id vault.Owner, sealed vault.Sealed) vault.Sealed {
			rows[id] = bytes.Clone(sealed)
			return sealed
		})
		reseal(func(id vault.Owner, sealed vault.Sealed) vault.Sealed {
			switch id {
			case vault.ExecutionOwner(string(exchanged)):
				return rows[vault.ExecutionOwner(string(other))]
			case vault.ExecutionOwner(string(other)):
				return rows[vault.ExecutionOwner(string(exchanged))]
			case vault.ExecutionOwner(string(changed)): // the value: opening it is the only way to notice
				sealed[len(sealed)-1] ^= 1
			}
			return sealed
		})
	})
	s := k.serve()
	until(t, "warning: the secrets of 2 executions were changed, or moved, on the disk", s.said.String)
	s.wantSuccess(fine)
	for _, id := range []execution.ID{exchanged, other, changed} {
		out, errs, _ := s.qhubctl("executions", "get", string(id), "--wait")
		if !strings.Contains(out, "FAILED") {
			t.Errorf("the execution %s with changed secrets: %s %s, want FAILED", id, out, errs)
		}
	}
	if said := s.said.String(); strings.Count(said, "the sealed secrets were changed or belong to something else") != 3 {
		t.Errorf("the log names %d executions with changed secrets, want 3:\n%s", strings.Count(said, "the sealed secrets were changed or belong to something else"), said)
	}
	s.wantNoSecret()
}

// Seconds after the end of an execution no file holds the ciphertext of its secret.
// No file ever holds the value.
func TestCiphertextsLeaveTheFiles(t *testing.T) {
	t.Parallel()
	s := serve(t, workspaceDir(t))
	dir := filepath.Join(s.dir, ".qhub", "serve")
	out, errs, code := s.qhubctl("executions", "start", "-d", `{"data": {"action": "sleep"}}`, "--secret", "api_token=@"+fileOf(t, theSecret))
	if code != 0 {
		t.Fatal(errs)
	}
	// Pieces of the sealed secrets, in the form that the files hold.
	var sealed [][]byte
	for _, content := range contents(t, dir) {
		for at := range content {
			if bytes.HasPrefix(content[at:], []byte("qhs\x02\x00\x00\x00\x01")) && at+78 < len(content) {
				sealed = append(sealed, content[at+18:at+34], content[at+34:at+50])
			}
		}
	}
	if len(sealed) == 0 {
		t.Fatal("no sealed secret is in the files, want one: the test would prove nothing")
	}
	if _, errs, code := s.qhubctl("executions", "cancel", strings.TrimSpace(out)); code != 0 {
		t.Fatal(errs)
	}
	if out, errs, _ := s.qhubctl("executions", "get", strings.TrimSpace(out), "--wait"); !strings.Contains(out, "CANCELLED") {
		t.Fatalf("executions get --wait printed %s %s, want CANCELLED", out, errs)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		left := 0
		for _, content := range contents(t, dir) {
			for _, piece := range sealed {
				left += bytes.Count(content, piece)
			}
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d pieces of the ciphertext are left after %s, want none", left, patience)
		}
	}
	for name, content := range contents(t, dir) {
		for _, form := range redact.Forms([]byte(theSecret)) {
			if bytes.Contains(content, form) {
				t.Errorf("the file %s holds the value, want none to", name)
			}
		}
	}
	s.wantNoSecret()
}

// contents are the files of a folder.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		if found[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name())); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return found
}
