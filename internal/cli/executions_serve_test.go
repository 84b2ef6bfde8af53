//go:build unix

package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExecutionsCommands(t *testing.T) {
	t.Parallel()
	s := serve(t, workspaceDir(t))
	token := fileOf(t, theSecret+"\n")
	out, errs, code := s.qhubctl("executions", "start", "-d", `{"data": {"text": "abc"}}`, "--secret", "api_token=@"+token, "--tag", "a", "--tag", "b", "--wait")
	var result map[string]any
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 0 || result["text"] != "abc" || result["note"] != "none" {
		t.Fatalf("start --wait: %d %s %s", code, out, errs)
	}
	if !strings.Contains(errs, "the token is [redacted]") {
		t.Errorf("the log was not shown: %s", errs)
	}
	// The same request under one key starts once.
	var ids []string
	for range 2 {
		out, errs, code = s.qhubctl("executions", "start", "-d", "@"+fileOf(t, `{"$secrets": {"api_token": "`+theSecret+`"}, "data": {"action": "files"}}`), "--idempotency-key", "k")
		if code != 0 {
			t.Fatalf("start: %d %s", code, errs)
		}
		ids = append(ids, strings.TrimSpace(out))
	}
	if ids[0] != ids[1] {
		t.Errorf("the key was not heeded: %v", ids)
	}
	out, _, code = s.qhubctl("executions", "get", ids[0], "--wait", "--output", "json")
	if !strings.Contains(out, `"SUCCEEDED"`) || code != 0 {
		t.Errorf("get: %d %s", code, out)
	}
	if out, _, _ = s.qhubctl("executions", "get", ids[0]); !strings.Contains(out, "SUCCEEDED") {
		t.Errorf("get: %s", out)
	}
	if out, _, _ = s.qhubctl("executions", "list", "--tag", "b"); strings.Count(out, "\n") != 2 || !strings.Contains(out, "a, b") {
		t.Errorf("list --tag: %s", out)
	}
	for _, flag := range []string{"-f", "--follow=false"} {
		if out, errs, code = s.qhubctl("executions", "log", ids[0], flag); code != 0 || !strings.Contains(out, "INFO    the token is [redacted]") || !strings.Contains(out, "WARNING careful") {
			t.Errorf("log %s: %d %s %s", flag, code, out, errs)
		}
	}
	dir := filepath.Join(t.TempDir(), "new")
	if out, errs, code = s.qhubctl("executions", "files", ids[0], "plan.txt", "--download", dir); code != 0 || strings.TrimSpace(out) != filepath.Join(dir, "plan.txt") {
		t.Errorf("files: %d %s %s", code, out, errs)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "plan.txt")); err != nil || string(text) != "the plan with [redacted]" {
		t.Errorf("the file says %q, %v", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	s.wantNoSecret(out, errs)
}

func TestExecutionsThatDoNotSucceed(t *testing.T) {
	t.Parallel()
	dir := workspaceDir(t)
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("SECRET_API_TOKEN="+theSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, dir)
	_, errs, code := s.qhubctl("executions", "start", "-d", `{"data": {"action": "fail"}}`, "--wait")
	if code != 1 || !strings.Contains(errs, "the execution failed: No luck: with [redacted]") {
		t.Errorf("failed: %d %s", code, errs)
	}
	out, _, code := s.qhubctl("executions", "start", "-d", `{"data": {"action": "list"}}`, "--wait", "-q")
	if code != 0 || strings.Join(strings.Fields(out), "") != `[1,2,"[redacted]"]` {
		t.Errorf("a list: %d %s", code, out)
	}
	out, _, _ = s.qhubctl("executions", "start", "-d", `{"data": {"action": "sleep"}}`)
	id := strings.TrimSpace(out)
	if _, errs, code = s.qhubctl("executions", "result", id); code != 2 || !strings.Contains(errs, "Not finished") {
		t.Errorf("too early: %d %s", code, errs)
	}
	if _, errs, code = s.qhubctl("executions", "cancel", id); code != 0 {
		t.Errorf("cancel: %d %s", code, errs)
	}
	if out, _, _ = s.qhubctl("executions", "get", id, "--wait"); !strings.Contains(out, "CANCELLED") {
		t.Errorf("cancelled: %s", out)
	}
	if _, errs, code = s.qhubctl("executions", "result", id); code != 1 || !strings.Contains(errs, "was cancelled") {
		t.Errorf("its result: %d %s", code, errs)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"start", "-d", `{"data": {"action": 1}, "x": 2}`}, "data.action: must be a string\n  x: "},
		{[]string{"start", "-d", `{"$secrets": {"api_token": "` + theSecret + `"}}`}, "-d holds $secrets"},
		{[]string{"start", "-d", `[1]`}, "not a JSON object"},
		{[]string{"start", "--secret", "api_token=" + theSecret}, "holds the value itself"},
		{[]string{"list", "--limit", "0"}, "at least 1"},
		{[]string{"list", "--token", theSecret}, "not the token itself"},
		{[]string{"list", "--output", "xml"}, "may be text or json"},
		{[]string{"get", "x"}, "executions list` shows the ids"},
		{[]string{"get", "00000000-0000-4000-8000-000000000000"}, "no such execution"},
		{[]string{"files", id, "nothing.txt"}, "no result file"},
	} {
		out, errs, code := s.qhubctl(append([]string{"executions"}, c.args...)...)
		if code != 2 || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("%v: %d %s %s", c.args, code, out, errs)
		}
		s.wantNoSecretSaid(errs)
	}
}
