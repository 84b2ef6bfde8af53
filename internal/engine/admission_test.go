//go:build unix

package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// gated is a store whose writes that make an execution RUNNING wait, or fail.
type gated struct {
	engine.Store
	begun chan execution.ID
	let   chan error
}

func (g *gated) Start(ctx context.Context, id execution.ID, owner string) (execution.Execution, error) {
	g.begun <- id
	if err := <-g.let; err != nil {
		return execution.Execution{}, err
	}
	return g.Store.Start(ctx, id, owner)
}

// TestAdmission looks at a service while the write that makes its execution RUNNING lasts,
// and after it has failed.
func TestAdmission(t *testing.T) {
	t.Parallel()
	g := &gated{begun: make(chan execution.ID), let: make(chan error)}
	s := serveProbe(t, func(c *engine.Config) { g.Store, c.Store = c.Store, g })
	marker := func() string { return filepath.Join(t.TempDir(), "marker") }
	exists := func(path string) bool {
		_, err := os.Lstat(path)
		return err == nil
	}

	path := marker()
	id := s.submit(action("note").with("text", path).token(secretValue))
	<-g.begun
	if exists(path) {
		t.Error("the service has run before its execution was RUNNING")
	}
	g.let <- nil
	if e := s.wait(id); e.Status != execution.Succeeded || !exists(path) {
		t.Errorf("the execution is %s: %v, want SUCCEEDED, and what it writes", e.Status, e.Problem)
	}

	path = marker()
	id = s.submit(action("note").with("text", path).token(secretValue))
	<-g.begun
	g.let <- store.ErrLeaseLost // another engine runs it
	id2 := s.submit(action("return").token(secretValue))
	<-g.begun
	g.let <- nil
	s.wait(id2)
	if e, err := s.store.Get(t.Context(), id); err != nil || e.Status.Final() || exists(path) {
		t.Errorf("the execution of another engine is %s (%v), and its service has run here: %v", e.Status, err, exists(path))
	}

	path = marker()
	id = s.submit(action("note").with("text", path).token(secretValue))
	<-g.begun
	g.let <- errors.New("the disk is full")
	if exists(path) {
		t.Error("the service has run although its execution could not be made RUNNING")
	}
	<-g.begun // again
	g.let <- nil
	if e := s.wait(id); e.Status != execution.Succeeded || !exists(path) {
		t.Errorf("the execution is %s: %v, want SUCCEEDED in the end", e.Status, e.Problem)
	}
}
