package console

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/vault"
)

func newTestSessions(t *testing.T) *sessions {
	t.Helper()
	ring, err := vault.OpenFile(filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	return newSessions(ring)
}

func TestSessionOpensUntilItEnds(t *testing.T) {
	t.Parallel()
	s := newTestSessions(t)
	now := time.Now()
	s.now = func() time.Time { return now }
	made := s.begin(plaintext.FromString("qhp_token"), "account")
	text, err := s.seal(formSession, made)
	if err != nil || strings.Contains(text, "qhp_token") {
		t.Fatalf("seal = %q, %v", text, err)
	}
	found, err := s.open(formSession, text)
	if err != nil || string(found.Token.Reveal()) != "qhp_token" || found.Account != "account" || found.CSRF != made.CSRF {
		t.Errorf("open = %v, %v, want the session", found, err)
	}
	if _, err := s.open(formCode, text); !errors.Is(err, errNoSession) {
		t.Errorf("open as a code = %v, want %v", err, errNoSession)
	}
	now = now.Add(sessionTime)
	if _, err := s.open(formSession, text); !errors.Is(err, errNoSession) {
		t.Errorf("open after its time = %v, want %v", err, errNoSession)
	}
	now = now.Add(-time.Hour)
	if !s.end(made) || s.end(made) {
		t.Error("end = false, or true twice; want true once")
	}
	if _, err := s.open(formSession, text); !errors.Is(err, errNoSession) {
		t.Errorf("open after its end = %v, want %v", err, errNoSession)
	}
	now = now.Add(2 * time.Hour)
	s.end(session{ID: "another", Expires: now.Add(time.Hour).Unix()})
	if len(s.over) != 1 {
		t.Errorf("%d ended sessions are kept, want the one that could still open", len(s.over))
	}
}

func TestChangedSessionsDoNotOpen(t *testing.T) {
	t.Parallel()
	s := newTestSessions(t)
	text, err := s.seal(formSession, s.begin(plaintext.FromString("qhp_token"), ""))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		at := rapid.IntRange(0, len(text)-1).Draw(r, "at")
		changed := []byte(text)
		changed[at] = rapid.Byte().Draw(r, "byte")
		if bytes.Equal(changed, []byte(text)) {
			return
		}
		if found, err := s.open(formSession, string(changed)); err == nil {
			// The last character of base64 has bits that mean nothing.
			if at != len(text)-1 {
				r.Errorf("the changed session opens: %v", found.ID)
			}
		}
	})
}

func TestChangesNeedTheWord(t *testing.T) {
	t.Parallel()
	of := session{CSRF: "word"}
	for name, c := range map[string]struct {
		method, header, form, site string
		want                       bool
	}{
		"a look":            {method: http.MethodGet, want: true},
		"no word":           {method: http.MethodPost},
		"a header":          {method: http.MethodDelete, header: "word", want: true},
		"a field":           {method: http.MethodPost, form: "csrf=word", want: true},
		"a wrong field":     {method: http.MethodPost, form: "csrf=words"},
		"from another site": {method: http.MethodPost, header: "word", site: "cross-site"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, "/x", strings.NewReader(c.form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(csrfHeader, c.header)
		r.Header.Set("Sec-Fetch-Site", c.site)
		if got := of.honest(r); got != c.want {
			t.Errorf("%s: honest = %v, want %v", name, got, c.want)
		}
	}
}

func TestSignInLeadsToThisServer(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"": "/", "/audit?a=b": "/audit?a=b", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "/x\r\nSet-Cookie: a": "/",
	} {
		if got := local(to); got != want {
			t.Errorf("local(%q) = %q, want %q", to, got, want)
		}
	}
}
