package hub

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
)

const (
	// repeatTime is how long a request counts as the repetition of one whose answer was
	// lost. Published clients repeat theirs within three seconds.
	repeatTime = 10 * time.Second
	// maxLost is how many lost answers are known at once, and maxRepeated how large a body
	// may be that is recognised.
	maxLost     = 10_000
	maxRepeated = 1 << 20
)

// repeats recognises requests for executions that published clients repeat, without an
// idempotency key, because the answer to the first one was lost. Other requests that are
// alike start one execution each. It is kept in memory only.
type repeats struct {
	secret []byte // of digests, which are of bodies with secrets
	now    func() time.Time

	mu    sync.Mutex
	known map[digest]*attempt
	// lost are those in known whose answer was lost, the oldest first.
	lost []*attempt
}

type digest [sha256.Size]byte

func newRepeats() *repeats {
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret)
	return &repeats{secret: secret, now: time.Now, known: map[digest]*attempt{}}
}

// An attempt is a request for an execution.
type attempt struct {
	key  digest
	made execution.ID
	// gone is done when the client has gone. ended is closed when the request has ended.
	gone  <-chan struct{}
	ended chan struct{}
	// until is set when the answer was lost.
	until time.Time
	// failed says that the answer could not be written.
	failed bool
}

type attemptKey struct{}

// witness notes that an answer cannot be written.
type witness struct {
	http.ResponseWriter
	attempt *attempt
}

// Write implements [http.ResponseWriter].
func (w witness) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.attempt.failed = w.attempt.failed || err != nil
	return n, err
}

// Unwrap is for [http.ResponseController].
func (w witness) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// watch follows a request for an execution and its answer. end must be called when it
// has been answered.
func (r *repeats) watch(ctx context.Context, w http.ResponseWriter) (context.Context, http.ResponseWriter, func()) {
	a := &attempt{gone: ctx.Done(), ended: make(chan struct{})}
	return context.WithValue(ctx, attemptKey{}, a), witness{w, a}, func() { r.end(a) }
}

// key recognises a request of one credential, for one version, with one body.
func (r *repeats) key(p access.Principal, version string, body []byte) digest {
	mac := hmac.New(sha256.New, r.secret)
	for _, part := range []string{string(p.Kind), p.ID, p.Credential, p.Tenant, version} {
		_, _ = mac.Write([]byte(part + "\x00"))
	}
	_, _ = mac.Write(body)
	var key digest
	copy(key[:], mac.Sum(nil))
	return key
}

// find returns the execution of the request that this one repeats. It notes the request
// otherwise.
func (r *repeats) find(ctx context.Context, version string, given engine.Submission) (execution.ID, bool) {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	if a == nil || given.IdempotencyKey != "" || len(given.Body) > maxRepeated {
		return "", false
	}
	a.key = r.key(access.From(ctx), version, given.Body)
	r.mu.Lock()
	first := r.known[a.key]
	if first == nil || first.expired(r.now()) {
		r.known[a.key] = a
		r.mu.Unlock()
		return "", false
	}
	r.mu.Unlock()
	select {
	case <-first.gone: // its answer is being lost
		select {
		case <-first.ended:
		case <-ctx.Done():
			return "", false
		}
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first.until.IsZero() || first.expired(r.now()) || first.made == "" {
		return "", false
	}
	return first.made, true
}

// expired reports a lost answer that is forgotten.
func (a *attempt) expired(now time.Time) bool { return !a.until.IsZero() && now.After(a.until) }

// made notes the execution that a request has started.
func made(ctx context.Context, id execution.ID) {
	if a, _ := ctx.Value(attemptKey{}).(*attempt); a != nil {
		a.made = id
	}
}

// end notes whether the answer was lost.
func (r *repeats) end(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(a.ended)
	now := r.now()
	for len(r.lost) > 0 && (r.lost[0].expired(now) || len(r.lost) >= maxLost) {
		r.forget(r.lost[0])
		r.lost = r.lost[1:]
	}
	lost := a.failed
	select {
	case <-a.gone:
		lost = true
	default:
	}
	if !lost || a.made == "" || r.known[a.key] != a {
		r.forget(a)
		return
	}
	a.until = now.Add(repeatTime)
	r.lost = append(r.lost, a)
}

// forget drops an attempt. The caller holds the lock.
func (r *repeats) forget(a *attempt) {
	if r.known[a.key] == a {
		delete(r.known, a.key)
	}
}
