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

// An Authenticator tells who calls.
type Authenticator interface {
	// Authenticate returns the caller of a request, or
	// [access.ErrUnauthenticated]. It is safe for concurrent use.
	Authenticate(r *http.Request) (access.Principal, error)
	// Challenge says in a WWW-Authenticate header how to become known. It is
	// empty where callers need no token.
	Challenge() string
}

// Anyone may call, with any token or none. Clients that have no access key
// send a random one.
type Anyone struct{}

// Authenticate takes everyone for the same anonymous caller.
func (Anyone) Authenticate(*http.Request) (access.Principal, error) { return access.Anyone(), nil }

// Challenge asks for nothing.
func (Anyone) Challenge() string { return "" }

// Token lets those call who have it: as a bearer token, or as the password of
// any user, which is how a browser asks for it.
type Token struct{ sum [sha256.Size]byte }

// NewToken makes an authenticator. It keeps a digest of the token only.
func NewToken(token plaintext.Bytes) Token { return Token{sha256.Sum256(token.Reveal())} }

// Authenticate compares in constant time, digests rather than the tokens, so
// that not even a length shows.
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

// authenticate finds out who calls, and refuses callers that are not known. What
// the others may do is checked where a handler is picked.
func (a *API) authenticate(next http.Handler) http.Handler {
	sameSite := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := a.Auth.Authenticate(r)
		switch {
		case a.LoopbackOnly && !localHost(r.Host):
			a.writeError(w, r, problem(http.StatusForbidden,
				"This server answers to the names of its own machine only, such as localhost. "+
					"To call it by another name, start it with a token that callers have to send."))
		case peer.FromExecution(r) && !caller.Known():
			a.writeError(w, r, problem(http.StatusForbidden,
				"An execution may not call the server that runs it without a token of that server."))
		case sameSite.Check(r) != nil:
			a.writeError(w, r, problem(http.StatusForbidden, "A page of another site may not do this."))
		case err != nil:
			w.Header().Set("WWW-Authenticate", a.Auth.Challenge())
			a.writeError(w, r, problem(http.StatusUnauthorized, "This server asks for a token: Authorization: Bearer …"))
		default:
			if caller.Known() {
				httpserver.Trust(r.Context())
			}
			*r = *r.WithContext(access.With(r.Context(), caller)) // in place: instrument reads the route of r
			next.ServeHTTP(w, r)
		}
	})
}

// localHost reports whether a Host header names this machine. Names that end
// in .localhost never leave it (RFC 6761).
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
