// Package console holds the pages of a platform for the people of a team: what runs, why
// it failed, which secret is missing, and who used it.
//
// A page asks the routes of the platform API, in this process, as the person that is signed
// in, so it shows and does what the API allows and nothing else. Scripts of the pages call
// the same routes. A browser keeps a session, sealed by the master key; requests with it
// that change something need the session's CSRF word.
//
//	/                     services at a glance
//	/services/{id}        versions, builds, who may call
//	/executions[/{id}]    executions; one with its log and result
//	/secrets              stored secrets: versions, never values
//	/pools[/{id}]         data pools
//	/applications[/{id}]  applications, their keys and subscriptions
//	/members, /audit, /server
//	/sign-in, /sign-out, /account
package console

import (
	"bytes"
	"context"
	"embed"
	"log/slog"
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"github.com/qhubctl/qhubctl/internal/vault"
	"github.com/qhubctl/qhubctl/internal/web"
)

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.1118 generate -path .

//go:embed assets/*
var assets embed.FS

const assetsPath = "/console/assets/"

// The headers by which the platform knows a caller.
const (
	headerToken        = "X-Auth-Token"
	headerOrganization = "X-OrganizationId"
)

// policy allows no inline script or style, and nothing from elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Options say what a console shows.
type Options struct {
	// Platform answers the platform API, the gateway and its pages.
	Platform http.Handler
	// Keyring seals sessions.
	Keyring *vault.Keyring
	// Health describes the server to its Owner, a person.
	Health func(context.Context) (Health, error)
	Owner  string
	// Version is that of the program.
	Version string
	Log     *slog.Logger
}

// A Console answers browsers with pages, and hands all other requests to the platform.
type Console struct {
	Options
	sessions *sessions
	pages    *http.ServeMux
}

// New makes the console of a platform.
func New(o Options) *Console {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Console{Options: o, sessions: newSessions(o.Keyring), pages: http.NewServeMux()}
	for path, handler := range web.Files(assets, assetsPath) {
		c.pages.Handle("GET "+path, handler)
	}
	c.pages.HandleFunc("GET /sign-in", c.signInPage)
	c.pages.HandleFunc("POST /sign-in", c.signIn)
	c.pages.HandleFunc("POST /sign-out", c.signOut)
	c.pages.HandleFunc("POST /account", c.changeAccount)
	c.pages.HandleFunc("POST /console/codes", c.makeCode)
	c.pages.HandleFunc("POST /console/script", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Nothing was changed: this form needs the script of its page. Go back, and load the page again.", http.StatusBadRequest)
	})
	for path, maker := range map[string]pageMaker{
		"/{$}": overview, "/services/{id}": servicePage, "/services/{id}/revisions/{revision}": revisionPage,
		"/executions": executionsPage, "/executions/{id}": executionPage, "/secrets": secretsPage, "/secrets/{name}": secretPage,
		"/pools": poolsPage, "/pools/{id}": poolPage, "/applications": applicationsPage, "/applications/{id}": applicationPage,
		"/members": membersPage, "/audit": auditPage, "/server": serverPage,
	} {
		c.pages.HandleFunc("GET "+path, c.page(maker))
	}
	return c
}

// ServeHTTP implements [http.Handler].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, pattern := c.pages.Handler(r)
	if pattern != "" && (r.URL.Path != "/" || strings.Contains(r.Header.Get("Accept"), "text/html") || r.Header.Get("HX-Request") != "") {
		c.pages.ServeHTTP(w, r)
		return
	}
	if r.Header.Get(headerToken) != "" || r.Header.Get("Authorization") != "" {
		c.Platform.ServeHTTP(w, r)
		return
	}
	as := r
	if s, ok := c.sessions.of(r); ok {
		defer s.Token.Clear()
		if !s.honest(r) {
			http.Error(w, "This request needs the CSRF word of the session in "+csrfHeader+".", http.StatusForbidden)
			return
		}
		as = s.request(r)
	}
	if forPerson(r) {
		c.show(w, as, r)
		return
	}
	c.Platform.ServeHTTP(w, as)
}

// request is a request with the credential of a session instead of its cookies.
func (of session) request(r *http.Request) *http.Request {
	as := r.Clone(r.Context())
	as.Header.Del("Cookie")
	as.Header.Set(headerToken, string(of.Token.Reveal()))
	if of.Account != "" {
		as.Header.Set(headerOrganization, of.Account)
	}
	return as
}

// A visit is one request for a page by a person with a session.
type visit struct {
	caller
	console *Console
	session session
	// person has the session, and may act for the accounts.
	person   person
	accounts []account
	// path is the page's.
	path string
}

// A pageMaker makes the page of a visit.
type pageMaker func(*visit) (view, error)

// A view is a page without its frame.
type view struct {
	title string
	body  templ.Component
}

// page answers with a page. A person without a session is sent to the sign-in, and
// back; an error of the platform becomes the page.
func (c *Console) page(maker pageMaker) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, ok := c.sessions.of(r)
		if !ok {
			c.askToSignIn(w, r)
			return
		}
		defer s.Token.Clear()
		v := &visit{caller: caller{c.Platform, s.request(r)}, console: c, session: s, path: r.URL.Path}
		err := v.introduce()
		if statusOf(err) == http.StatusUnauthorized {
			c.askToSignIn(w, r)
			return
		}
		status := http.StatusOK
		var made view
		if err == nil {
			made, err = maker(v)
		}
		if err != nil {
			if status = statusOf(err); status == http.StatusInternalServerError {
				c.Log.Error("a page cannot be made", "page", r.Pattern, "error", err)
			}
			made = view{http.StatusText(status), failed(status, err)}
		}
		c.write(w, r, status, frame(v, made))
	}
}

// introduce reads the person of the session, and the accounts of that person.
func (v *visit) introduce() error {
	if err := v.get(people+"/me", nil, &v.person); err != nil {
		return err
	}
	var err error
	v.accounts, err = list[account](v.caller, catalog+"/my/accounts", nil, 200)
	return err
}

// write sends a page.
func (c *Console) write(w http.ResponseWriter, r *http.Request, status int, page templ.Component) {
	var out bytes.Buffer
	if err := page.Render(r.Context(), &out); err != nil {
		c.Log.Error("a page cannot be written", "page", r.Pattern, "error", err)
		http.Error(w, "The page cannot be made.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // an error means that the browser has gone
}
