package hub

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
)

// broken cannot be written to.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// TestRepeats has requests whose answers get lost, and looks which executions later
// requests get.
func TestRepeats(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newRepeats()
	r.now = func() time.Time { return now }
	caller := func(credential string) context.Context {
		return access.With(t.Context(), access.Principal{Kind: access.Person, ID: "p", Tenant: "t", Credential: credential})
	}
	next := 0
	// post sends a request, and returns the execution that it gets.
	post := func(ctx context.Context, w http.ResponseWriter, version, body, key string) (id execution.ID, repeated bool) {
		ctx, w, end := r.watch(ctx, w)
		defer end()
		id, repeated = r.find(ctx, version, engine.Submission{Body: []byte(body), IdempotencyKey: key})
		if !repeated {
			next++
			id = execution.ID(strconv.Itoa(next))
		}
		made(ctx, id)
		_, _ = w.Write([]byte("answer"))
		return id, repeated
	}
	fine := httptest.NewRecorder()
	first, _ := post(caller("a"), broken{fine}, "v", "body", "")
	for name, c := range map[string]struct {
		ctx                context.Context //nolint:containedctx // of a row
		version, body, key string
		want               bool
	}{
		"again": {caller("a"), "v", "body", "", true}, "once more": {caller("a"), "v", "body", "", true},
		"another body": {caller("a"), "v", "bodY", "", false}, "another version": {caller("a"), "w", "body", "", false},
		"another token": {caller("b"), "v", "body", "", false}, "an idempotency key": {caller("a"), "v", "body", "k", false},
	} {
		if id, repeated := post(c.ctx, fine, c.version, c.body, c.key); repeated != c.want || repeated && id != first {
			t.Errorf("%s: the request gets %s, repeated: %t, want the first: %t", name, id, repeated, c.want)
		}
	}
	now = now.Add(repeatTime + time.Second)
	if id, repeated := post(caller("a"), fine, "v", "body", ""); repeated {
		t.Errorf("a request gets %s after %s, want another one", id, repeatTime)
	}
	if id, repeated := post(caller("a"), fine, "v", "body", ""); repeated {
		t.Errorf("a request gets %s of one that was answered, want another one", id)
	}

	// While the first one is being answered, only a client that has gone counts.
	gone, leave := context.WithCancel(caller("c"))
	ctx, _, end := r.watch(gone, fine)
	if _, repeated := r.find(ctx, "v", engine.Submission{Body: []byte("x")}); repeated {
		t.Error("the first request is a repetition")
	}
	made(ctx, "slow")
	if id, repeated := post(caller("c"), fine, "v", "x", ""); repeated {
		t.Errorf("a request beside one that is being answered gets %s, want another one", id)
	}
	leave()
	second := make(chan execution.ID)
	go func() {
		id, _ := post(caller("c"), fine, "v", "x", "")
		second <- id
	}()
	end()
	if id := <-second; id != "slow" {
		t.Errorf("a request that repeats one that is being answered gets %s, want slow", id)
	}

	for i := range maxLost + 10 {
		post(caller("d"), broken{fine}, "v", strconv.Itoa(i), "")
	}
	if len(r.lost) > maxLost || len(r.known) > maxLost {
		t.Errorf("%d lost answers are known, want at most %d", len(r.known), maxLost)
	}
}
