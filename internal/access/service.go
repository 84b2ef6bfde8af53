package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const (
	// AccessTokenLifetime is how long a token of POST /token lives.
	AccessTokenLifetime = time.Hour
	// RevealFor is how long an OWNER can read the secret of a new access key.
	RevealFor = 24 * time.Hour
	// RotationGrace is how long a key that was replaced still gets tokens.
	RotationGrace = 24 * time.Hour
	// InvitationLifetime is how long an invitation can be accepted.
	InvitationLifetime = 7 * 24 * time.Hour
	// signingKeyLifetime is after how long a new key signs tokens.
	signingKeyLifetime = 30 * 24 * time.Hour
	// chores is how often old secrets are destroyed and uses are written down.
	chores = time.Minute
)

// Executions tells which executions run. Execution tokens end with them.
type Executions interface {
	// Running reports whether an execution has started and not ended.
	Running(ctx context.Context, id string) (bool, error)
}

// Options say what a [Service] works with.
type Options struct {
	Store   Store
	Keyring *vault.Keyring
	// Executions decides on execution tokens. Nil: there are none.
	Executions Executions
	// RevealAccessKeys lets an OWNER read secrets of access keys at any time, as the
	// published platform does, instead of for [RevealFor].
	RevealAccessKeys bool
	// Address names the client of a request, for rate limits. Nil: the address of
	// the connection.
	Address func(*http.Request) string
	// Audit records logins. Nil: they are not recorded.
	Audit audit.Store
	// Operator is the name of the user whose audit log has the logins that were rejected.
	// Empty: they are not recorded.
	Operator string
	// Now is the clock. Nil: the system's.
	Now func() time.Time
	Log *slog.Logger
}

// A Service is the identity and access management of a platform. It is safe for
// concurrent use. Make one with [Open].
type Service struct {
	Options

	signer    signer
	cache     cache
	failures  limiter // by address
	redeeming limiter // by address
	issuing   limiter // by access key
	logins    limiter // by token
	rejected  rejected

	usedMu sync.Mutex
	used   map[string]time.Time

	// changes counts changes, each of which makes the cache invalid.
	changes atomic.Uint64
	stop    context.CancelFunc
	done    chan struct{}
}

// Open makes a service. Until it is closed, it rotates the keys that sign tokens, and
// destroys secrets of access keys in time.
func Open(ctx context.Context, o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Address == nil {
		o.Address = func(r *http.Request) string { return r.RemoteAddr }
	}
	s := &Service{
		Options: o, used: map[string]time.Time{}, done: make(chan struct{}),
		failures:  limiter{every: time.Second, burst: failureBurst},
		redeeming: limiter{every: time.Second, burst: failureBurst},
		issuing:   limiter{every: time.Second / 20, burst: issueBurst},
		logins:    limiter{every: recordLogins, burst: 1},
	}
	if err := s.rotateSigningKey(ctx); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.work(background)
	return s, nil
}

// Close ends the service and writes down when tokens were last used.
func (s *Service) Close() error {
	s.stop()
	<-s.done
	s.signer.clear()
	return errors.Join(s.flushUses(context.Background()), s.recordRejected(context.Background()))
}

func (s *Service) work(ctx context.Context) {
	defer close(s.done)
	ticker := time.NewTicker(chores)
	defer ticker.Stop()
	for {
		if err := s.doChores(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("cannot look after tokens and access keys; trying again later", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *Service) doChores(ctx context.Context) error {
	now := s.Now()
	hide := now
	if s.RevealAccessKeys {
		hide = time.Time{}
	}
	return errors.Join(
		s.flushUses(ctx),
		s.recordRejected(ctx),
		s.Store.HideSecrets(ctx, hide, now.Add(-2*AccessTokenLifetime)),
		s.rotateSigningKey(ctx),
	)
}

// changed makes the cache invalid, once a change is durable.
func (s *Service) changed() { s.changes.Add(1) }

// noteUse notes that a token or an access key was used. It is written down later.
func (s *Service) noteUse(id string, last, now time.Time) {
	if now.Sub(last) < time.Minute {
		return
	}
	s.usedMu.Lock()
	defer s.usedMu.Unlock()
	s.used[id] = now
}

func (s *Service) flushUses(ctx context.Context) error {
	s.usedMu.Lock()
	used := s.used
	s.used = map[string]time.Time{}
	s.usedMu.Unlock()
	if len(used) == 0 {
		return nil
	}
	return s.Store.MarkUsed(ctx, used)
}

// rotateSigningKey makes a key if there is none, or an old one, and loads all.
func (s *Service) rotateSigningKey(ctx context.Context) error {
	now := s.Now()
	if newest := s.signer.newest(); !newest.IsZero() && now.Sub(newest) < signingKeyLifetime {
		return nil
	}
	key, err := newSigningKey(s.Keyring, now)
	if err == nil {
		err = s.Store.AddSigningKey(ctx, key, now.Add(-signingKeyLifetime))
	}
	if err == nil {
		err = s.loadSigningKeys(ctx)
	}
	if err != nil {
		return fmt.Errorf("get the key that signs tokens: %w", err)
	}
	return nil
}

func (s *Service) loadSigningKeys(ctx context.Context) error {
	keys, err := s.Store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	return s.signer.load(s.Keyring, keys)
}
