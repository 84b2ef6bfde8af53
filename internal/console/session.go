package console

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const (
	// sessionTime is how long a session lasts at most. It ends earlier with its token.
	sessionTime = 12 * time.Hour
	// codeTime is how long the code of `qhubctl open` can begin a session.
	codeTime = time.Minute

	sessionCookie = "qhubctl_session"
	// csrfCookie holds the word that scripts of the pages send with a request that
	// changes something. Pages of other sites cannot read it.
	csrfCookie = "qhubctl_csrf"
	csrfHeader = "X-CSRF-Token"
	csrfField  = "csrf"
)

// The forms of sealed sessions.
const (
	formSession = "session"
	formCode    = "code"
)

// errNoSession says that a cookie or a code begins no session.
var errNoSession = errors.New("no session")

// session is what a browser keeps, sealed by the master key: no server needs to remember
// it.
type session struct {
	ID string `json:"i"`
	// Token is the personal access token of the person.
	Token plaintext.Bytes `json:"-"`
	// Account is the organization that the person acts for; empty: the person.
	Account string `json:"a,omitempty"`
	// CSRF must come with each request that changes something.
	CSRF    string `json:"c,omitempty"`
	Expires int64  `json:"e"`
}

// sessions seals and opens sessions, and remembers those that have ended early.
type sessions struct {
	keyring *vault.Keyring
	now     func() time.Time

	mu sync.Mutex
	// over are the ids of ended sessions and used codes, until they expire.
	over map[string]int64
}

func newSessions(keyring *vault.Keyring) *sessions {
	return &sessions{keyring: keyring, now: time.Now, over: map[string]int64{}}
}

func (s *sessions) begin(token plaintext.Bytes, account string) session {
	return session{ID: rand.Text(), Token: token, Account: account, CSRF: rand.Text(), Expires: s.now().Add(sessionTime).Unix()}
}

// seal is a session as a text for a browser.
func (s *sessions) seal(form string, of session) (string, error) {
	facts, err := json.Marshal(of)
	if err != nil {
		return "", err
	}
	sealed, err := s.keyring.Seal(vault.ConsoleOwner(form), vault.Secrets{"facts": plaintext.New(facts), "token": of.Token})
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// open is the session of a text that seal has made. The caller clears its token.
func (s *sessions) open(form, text string) (session, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) == 0 {
		return session{}, errNoSession
	}
	values, err := s.keyring.Open(vault.ConsoleOwner(form), sealed)
	if err != nil {
		return session{}, errNoSession
	}
	defer values["facts"].Clear()
	found := session{Token: values["token"]}
	if err := json.Unmarshal(values["facts"].Reveal(), &found); err != nil {
		found.Token.Clear()
		return session{}, errNoSession
	}
	if found.Expires <= s.now().Unix() || s.ended(found.ID) {
		found.Token.Clear()
		return session{}, errNoSession
	}
	return found, nil
}

// end has a session, or a code, open no more. It reports whether it was still open.
func (s *sessions) end(of session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().Unix()
	for id, expires := range s.over {
		if expires <= now {
			delete(s.over, id)
		}
	}
	if _, ended := s.over[of.ID]; ended {
		return false
	}
	s.over[of.ID] = of.Expires
	return true
}

func (s *sessions) ended(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ended := s.over[id]
	return ended
}

// of is the session of a request. The caller clears its token.
func (s *sessions) of(r *http.Request) (session, bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return session{}, false
	}
	found, err := s.open(formSession, cookie.Value)
	return found, err == nil
}

// keep has the browser keep a session.
func (s *sessions) keep(w http.ResponseWriter, r *http.Request, of session) error {
	text, err := s.seal(formSession, of)
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie(r, sessionCookie, text, true))
	http.SetCookie(w, cookie(r, csrfCookie, of.CSRF, false))
	return nil
}

// forget has the browser forget its session.
func forget(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{sessionCookie, csrfCookie} {
		gone := cookie(r, name, "", true) //nolint:gosec // see cookie
		gone.MaxAge = -1
		http.SetCookie(w, gone)
	}
}

// cookie lasts as long as the browser runs. Behind a proxy that ends TLS, the request of
// the browser was secure.
func cookie(r *http.Request, name, value string, hidden bool) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // a script reads one, and loopback addresses have no TLS
		Name: name, Value: value, Path: "/", HttpOnly: hidden, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
}

// honest reports whether a request that changes something comes from a page of the
// session.
func (of session) honest(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	given := r.Header.Get(csrfHeader)
	if given == "" && r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		given = r.PostFormValue(csrfField)
	}
	return http.NewCrossOriginProtection().Check(r) == nil && subtle.ConstantTimeCompare([]byte(given), []byte(of.CSRF)) == 1
}
