package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/peer"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// An Authenticator identifies callers.
type Authenticator = access.Authenticator

// Anyone is an [Authenticator] that admits all callers, with any token or none:
// clients without an access key send a random token.
type Anyone struct{}

// Authenticate returns the same anonymous caller for every request.
func (Anyone) Authenticate(*http.Request) (access.Principal, error) { return access.Anyone(), nil }

// Challenge is empty.
func (Anyone) Challenge() string { return "" }

// Token is an [Authenticator] that admits callers with one token. They send it as a
// bearer token or, as browsers do, as the password of any user.
type Token struct{ sum [sha256.Size]byte }

// NewToken makes an authenticator for a token. It keeps only a digest of the token.
func NewToken(token plaintext.Bytes) Token { return Token{sha256.Sum256(token.Reveal())} }

// Authenticate compares digests in constant time, so that the time reveals nothing
// about the token, not even its length.
func (t Token) Authenticate(r *http.Request) (access.Principal, error) {
	given := ""
	if _, password, ok := r.BasicAuth(); ok {
		given = password
	} else if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(token)
	}
	sum := sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(sum[:], t.sum[:]) != 1 {
		return access.Principal{}, access.ErrUnauthenticated
	}
	return access.TokenHolder(), nil
}

// Challenge asks programs for a token, and browsers for a password.
func (Token) Challenge() string {
	return `Bearer realm="qhubctl", Basic realm="qhubctl", charset="UTF-8"`
}

// authenticate identifies the caller, and refuses unknown callers. dispatch checks
// the rights of the others.
func (a *API) authenticate(next http.Handler) http.Handler {
	sameSite := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := a.Auth.Authenticate(r)
		switch {
		case a.LoopbackOnly && !localHost(r.Host):
			a.writeError(w, r, problem(http.StatusForbidden,
				"This server accepts only names of the machine that it runs on, such as localhost. "+
					"To call it by another name, start it with a token that callers must send."))
		case peer.FromExecution(r) && !caller.Known():
			a.writeError(w, r, problem(http.StatusForbidden,
				"An execution needs a token of the server that runs it to call that server."))
		case sameSite.Check(r) != nil:
			a.writeError(w, r, problem(http.StatusForbidden, "A page of another site may not send this request."))
		case err != nil:
			w.Header().Set("WWW-Authenticate", a.Auth.Challenge())
			a.writeError(w, r, problem(http.StatusUnauthorized, "This server needs a token. Send it in the header Authorization: Bearer …"))
		default:
			if caller.Known() {
				httpserver.Trust(r.Context())
			}
			*r = *r.WithContext(access.With(r.Context(), caller)) // in place: instrument reads the route of r
			next.ServeHTTP(w, r)
		}
	})
}

// localHost reports whether a Host header names this machine. Names that end in
// .localhost always do (RFC 6761).
func localHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(name)
	return err == nil && address.Unmap().IsLoopback()
}
