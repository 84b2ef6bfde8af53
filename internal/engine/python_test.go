//go:build unix

package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
)

const pythonDocument = `{
  "schemaVersion": 1, "sdk": {"language": "python", "name": "qhub-commons", "version": "1.2.2"}, "entrypoint": "src.program:run",
  "parameters": [
    {"name": "text", "kind": "input", "check": "schema", "required": true, "schema": {"type": "string"}},
    {"name": "fail", "kind": "input", "check": "schema", "required": false, "schema": {"type": "boolean"}},
    {"name": "api_token", "kind": "secret", "required": true}
  ]
}`

// A service in Python, with our SDK and with the published one.
func TestPythonService(t *testing.T) {
	t.Parallel()
	for name, python := range map[string]func(testing.TB) process.Python{
		"our SDK": runnertest.SDKPython, "upstream SDK": runnertest.PublishedPython,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, t.TempDir())
			env := runner.BaseEnvironment()
			env["PYTHONUNBUFFERED"], env["PYTHONDONTWRITEBYTECODE"] = "1", "1"
			s.set(&engine.Revision{
				ID: "1", Signature: parse(t, pythonDocument),
				Runner: &process.Runner{Program: python(t), Dir: "testdata/python", Environment: env},
			})
			e := s.run(body{"text": "plain"}.token(secretValue))
			if e.Status != execution.Succeeded {
				t.Fatalf("the execution is %s: %+v, want SUCCEEDED; its log:\n%s", e.Status, e.Problem, s.text(e.ID))
			}
			log := s.text(e.ID)
			for _, want := range []string{
				"INFO got plain", "INFO the token is [redacted]", "WARNING the token is [redacted]", "ERROR ERROR:service:bad [redacted]",
			} {
				if !strings.Contains(log, want+"\n") {
					t.Errorf("the log has no %q: %q", want, log)
				}
			}
			if value := string(s.result(e.ID).Value); !strings.Contains(value, `"Bearer [redacted]"`) {
				t.Errorf("Result = %s, want the secret masked", value)
			}
			failed := s.run(body{"text": "x", "fail": true}.token(secretValue))
			p := failed.Problem
			if failed.Status != execution.Failed || p.Title != "ValueError" || p.Detail != "no good: [redacted]" || !hasNumber(p, "exitCode", "1") {
				t.Errorf("the failed execution is %s: %+v, want FAILED with a masked ValueError", failed.Status, p)
			}
			if log := s.text(failed.ID); !strings.Contains(log, "ValueError: no good: [redacted]") || strings.Contains(log, secretValue) {
				t.Errorf("the log is %q, want the traceback with the secret masked", log)
			}
			noneHolds(t, s.dir, secretValue)
		})
	}
}

// TestExecutionToken gives each execution a token of the server, which no sink shows.
func TestExecutionToken(t *testing.T) {
	t.Parallel()
	const program = `
import os

def run(text: str) -> dict:
    token = os.environ["KQH_SERVICE_EXECUTION_TOKEN"]
    print("the token is", token)
    other = os.environ["SECRET_OTHER"]
    return {"begins": token[:6] == "token-", "shown": token, "length": len(other), "other": other}
`
	const otherSecret = "of-the-environment-4711"
	const document = `{
  "schemaVersion": 1, "sdk": {"language": "python", "name": "qhub-commons", "version": "1.2.2"}, "entrypoint": "src.program:run",
  "parameters": [{"name": "text", "kind": "input", "check": "schema", "required": true, "schema": {"type": "string"}}]
}`
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"__init__.py": "", "program.py": program} {
		if err := os.WriteFile(filepath.Join(dir, "src", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, t.TempDir())
	made := make(chan execution.ID, 1)
	s.set(&engine.Revision{
		ID: "1", Signature: parse(t, document),
		Runner: &process.Runner{Program: runnertest.SDKPython(t), Dir: dir, Environment: runner.BaseEnvironment()},
		Resolvers: engine.Resolvers{Token: func(_ context.Context, e execution.Execution) (plaintext.Bytes, error) {
			made <- e.ID
			return plaintext.FromString("token-" + e.ID.String()), nil
		}, Environment: func(context.Context) ([]plaintext.Named, error) {
			return []plaintext.Named{{Name: "SECRET_OTHER", Value: plaintext.FromString(otherSecret)}}, nil
		}},
	})
	e := s.run(body{"text": "x"})
	if e.Status != execution.Succeeded || <-made != e.ID {
		t.Fatalf("the execution is %s: %+v, want SUCCEEDED with its own token\n%s", e.Status, e.Problem, s.text(e.ID))
	}
	if value := string(s.result(e.ID).Value); !strings.Contains(value, `"begins": true`) || !strings.Contains(value, `"shown": "[redacted]"`) {
		t.Errorf("Result = %s, want the token given and masked", value)
	}
	if value := string(s.result(e.ID).Value); !strings.Contains(value, `"length": 23`) || !strings.Contains(value, `"other": "[redacted]"`) {
		t.Errorf("Result = %s, want the secret of the environment given and masked", value)
	}
	if log := s.text(e.ID); !strings.Contains(log, "the token is [redacted]") {
		t.Errorf("the log is %q, want the token masked", log)
	}
	noneHolds(t, s.dir, "token-"+e.ID.String())
	noneHolds(t, s.dir, otherSecret)

	failing := probeService(t)
	failing.ID = "2"
	failing.Resolvers.Environment = func(context.Context) ([]plaintext.Named, error) { return nil, errResolver }
	s.set(failing)
	if e := s.run(action("return").token(secretValue)); e.Status != execution.Failed || e.Problem.Type != execution.TypeSecrets || !e.StartedAt.IsZero() {
		t.Errorf("without its environment the execution is %s: %+v, want FAILED before it starts", e.Status, e.Problem)
	}
	failing = probeService(t)
	failing.ID = "3"
	failing.Resolvers.Token = func(context.Context, execution.Execution) (plaintext.Bytes, error) {
		return plaintext.Bytes{}, errResolver
	}
	s.set(failing)
	if e := s.run(action("return").token(secretValue)); e.Status != execution.Failed || e.Problem.Type != execution.TypeSecrets || !e.StartedAt.IsZero() {
		t.Errorf("without its token the execution is %s: %+v, want FAILED before it starts", e.Status, e.Problem)
	}
}
