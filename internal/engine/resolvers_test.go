//go:build unix

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// faulty is a resolver whose methods fail as a test wants.
type faulty struct {
	has, resolve, masked error
	resolved             atomic.Int32
}

func (f *faulty) Has(context.Context, signature.Parameter) (bool, error) { return f.has == nil, f.has }

func (f *faulty) Resolve(context.Context, signature.Parameter) (engine.ResolvedSecret, bool, error) {
	f.resolved.Add(1)
	if f.resolve != nil {
		return engine.ResolvedSecret{}, false, f.resolve
	}
	return engine.ResolvedSecret{Value: plaintext.FromString("of-the-resolver"), From: "the test"}, true, nil
}

func (f *faulty) Masked(context.Context) ([]plaintext.Named, error) { return nil, f.masked }

var errResolver = errors.New("the vault does not answer")

// TestResolverFails has each method of a resolver fail: nothing runs without a
// secret, or with values unmasked.
func TestResolverFails(t *testing.T) {
	t.Parallel()
	for name, resolver := range map[string]*faulty{
		"resolve": {resolve: errResolver}, "masked": {masked: errResolver}, "nothing": {},
	} {
		s := serve(t, t.TempDir())
		r := probeService(t)
		r.Resolvers.Secrets = resolver
		s.set(r)
		e := s.run(action("leak"))
		log := s.text(e.ID)
		if name == "nothing" {
			if e.Status != execution.Succeeded || !strings.Contains(log, "[redacted]") {
				t.Errorf("without an error the execution is %s: %v, log %q; want SUCCEEDED and masked", e.Status, e.Problem, log)
			}
			continue
		}
		if e.Status != execution.Failed || e.Problem.Type != execution.TypeSecrets || !e.StartedAt.IsZero() || log != "" {
			t.Errorf("%s fails: the execution is %s: %v, log %q; want FAILED with %s, not started", name, e.Status, e.Problem, log, execution.TypeSecrets)
		}
		if strings.Contains(fmt.Sprint(e.Problem), errResolver.Error()) {
			t.Errorf("%s fails: the problem is %v, want the reason in the server's log only", name, e.Problem)
		}
	}
}

// TestHasFetchesNothing submits requests that are refused, and one that waits: no
// value is fetched before an execution starts.
func TestHasFetchesNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	r, resolver := requiring(t, nil), &faulty{}
	r.Resolvers.Secrets, r.Concurrency = resolver, 1
	s.set(r)
	path, letGo := pipe(t)
	held := s.submit(action("hold").with("text", path))
	s.awaitLog(held, "ready")
	before := resolver.resolved.Load()
	waiting := s.submit(action("nothing"))
	if _, err := s.trySubmit(body{"action": 7}); err == nil {
		t.Error("Submit(a wrong body) = no error, want one")
	}
	if _, err := r.RequestSignature(t.Context()); err != nil {
		t.Error(err)
	}
	if after := resolver.resolved.Load(); after != before {
		t.Errorf("accepting requests fetched %d values, want none", after-before)
	}
	letGo()
	s.wait(held)
	s.wait(waiting)
}

// TestHasFails refuses the request, as an error of the server.
func TestHasFails(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	r := requiring(t, nil)
	r.Resolvers.Secrets = &faulty{has: errResolver}
	s.set(r)
	_, err := s.trySubmit(action("nothing"))
	if !errors.Is(err, errResolver) {
		t.Errorf("Submit() = %v, want %v", err, errResolver)
	}
	if _, err := r.RequestSignature(t.Context()); !errors.Is(err, errResolver) {
		t.Errorf("RequestSignature() = %v, want %v", err, errResolver)
	}
}

// pools resolves every data pool to an error.
type pools struct{ err error }

func (p pools) Has(context.Context, signature.Parameter) (bool, error) { return true, nil }
func (p pools) Resolve(context.Context, signature.Parameter, *signature.DataPoolReference) (string, error) {
	return "", p.err
}

// TestDataPoolErrors tells the caller of a pool that cannot be used, and no more
// than that of other errors.
func TestDataPoolErrors(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	for err, forCaller := range map[error]bool{&engine.PoolError{Reason: "it holds links"}: true, errResolver: false} {
		r := probeService(t)
		r.Signature = parse(t, strings.Replace(probeDocument, `"parameters": [`,
			`"parameters": [{"name": "pool", "kind": "datapool", "required": false}, `, 1))
		r.Resolvers.DataPools = pools{err}
		s.set(r)
		_, submitted := s.trySubmit(action("nothing"))
		errs, refused := errors.AsType[signature.Errors](submitted)
		if refused != forCaller || !forCaller && !errors.Is(submitted, err) {
			t.Errorf("Submit() with %v = %v (refused %t), want refused %t", err, submitted, refused, forCaller)
		}
		if forCaller && !strings.Contains(errs.Error(), "it holds links") {
			t.Errorf("Submit() = %v, want the reason", errs)
		}
	}
}
