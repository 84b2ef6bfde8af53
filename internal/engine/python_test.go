//go:build unix

package engine_test

import (
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
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
