//go:build unix

package engine_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// panicking fails with the secrets that it is given, as a bug might.
type panicking struct{ runner.Runner }

func (panicking) Start(_ context.Context, job runner.Job) (runner.Run, error) {
	panic("with " + string(job.Secrets[0].Value.Reveal()))
}

// A panic on the way of one execution ends that, and says nothing of values.
func TestPanicFailsOneExecution(t *testing.T) {
	t.Parallel()
	var log testenv.Buffer
	s := serve(t, t.TempDir(), func(c *engine.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	broken := probeService(t)
	broken.Runner = panicking{broken.Runner}
	s.set(broken)
	e := s.run(action("return").token(secretValue))
	if e.Status != execution.Failed || e.Problem == nil || e.Problem.Title != execution.Internal().Title {
		t.Errorf("the execution with a panic is %s: %v, want FAILED with an internal error", e.Status, e.Problem)
	}
	if said := log.String(); !strings.Contains(said, "panic=string") || strings.Contains(said, secretValue) {
		t.Errorf("the log is %s, want the panic without its value", said)
	}
	s.set(probeService(t))
	if e := s.run(action("return").token(secretValue)); e.Status != execution.Succeeded {
		t.Errorf("the next execution is %s: %v, want SUCCEEDED", e.Status, e.Problem)
	}
}
