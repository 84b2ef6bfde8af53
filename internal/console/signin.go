package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// maxSignIn bounds the body of a sign-in.
const maxSignIn = 16 << 10

// askToSignIn sends a person to the sign-in, and from there back.
func (c *Console) askToSignIn(w http.ResponseWriter, r *http.Request) {
	forget(w, r)
	target := "/sign-in"
	if r.URL.Path != "/" {
		target += "?to=" + url.QueryEscape(r.URL.RequestURI())
	}
	if r.Header.Get("Hx-Request") != "" { // htmx follows redirects itself
		w.Header().Set("Hx-Redirect", target)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

func (c *Console) signInPage(w http.ResponseWriter, r *http.Request) {
	if s, ok := c.sessions.of(r); ok {
		s.Token.Clear()
		http.Redirect(w, r, local(r.URL.Query().Get("to")), http.StatusSeeOther) //nolint:gosec // local refuses other sites
		return
	}
	query, lost := r.URL.Query(), ""
	if query.Has("lost") {
		lost = "Your session has ended, and nothing was changed. Sign in, and do it again."
	}
	c.write(w, r, http.StatusOK, signInFrame(local(query.Get("to")), lost))
}

// local is a path of this server; another address becomes the first page.
func local(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return to
}

// signIn begins a session with a token, or with the code of `qhubctl open`. The platform
// counts wrong tokens for each address, and makes it wait.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxSignIn)
	if err := r.ParseForm(); err != nil || http.NewCrossOriginProtection().Check(r) != nil {
		http.Error(w, "This is no sign-in.", http.StatusBadRequest)
		return
	}
	to := local(r.PostForm.Get("to"))
	token, account, err := c.given(r)
	if err == nil {
		defer token.Clear()
		s := c.sessions.begin(token, account)
		v := caller{c.Platform, s.request(r)}
		if err = v.call(http.MethodPost, catalog+"/authorize", nil, nil); err == nil { // the audit log has the login
			err = c.sessions.keep(w, r, s)
		}
	}
	if err == nil {
		http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // local refuses other sites
		return
	}
	text, status := "The server cannot begin a session now.", http.StatusServiceUnavailable
	switch {
	case errors.Is(err, errNoSession):
		text, status = "This link was used, or is older than a minute. Run qhubctl open again.", http.StatusUnauthorized
	case statusOf(err) == http.StatusUnauthorized, statusOf(err) == http.StatusForbidden:
		text, status = "This is no valid personal access token.", http.StatusUnauthorized
	case statusOf(err) == http.StatusTooManyRequests:
		text, status = "There were too many wrong tokens from your address. Wait a minute.", http.StatusTooManyRequests
	default:
		c.Log.Error("cannot begin a session", "error", err)
	}
	c.write(w, r, status, signInFrame(to, text))
}

// given is the token that a sign-in brings, and the account to act for.
func (c *Console) given(r *http.Request) (token plaintext.Bytes, account string, err error) {
	code := r.PostForm.Get("code")
	if code == "" {
		return plaintext.FromString(strings.TrimSpace(r.PostForm.Get("token"))), "", nil
	}
	of, err := c.sessions.open(formCode, code)
	if err == nil && !c.sessions.end(of) {
		of.Token.Clear()
		err = errNoSession
	}
	return of.Token, of.Account, err
}

// signOut ends a session.
func (c *Console) signOut(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxSignIn)
	if s, ok := c.sessions.of(r); ok {
		defer s.Token.Clear()
		if !s.honest(r) {
			http.Error(w, "This form is too old. Load the page again.", http.StatusForbidden)
			return
		}
		c.sessions.end(s)
	}
	forget(w, r)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// changeAccount has a session act for another account. The platform refuses one that the
// person is no member of.
func (c *Console) changeAccount(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxSignIn)
	s, ok := c.sessions.of(r)
	if !ok {
		c.askToSignIn(w, r)
		return
	}
	defer s.Token.Clear()
	if !s.honest(r) {
		http.Error(w, "This form is too old. Load the page again.", http.StatusForbidden)
		return
	}
	next := s
	next.Account = r.PostFormValue("account")
	var me person
	if err := (caller{c.Platform, next.request(r)}).get(people+"/me", nil, &me); err != nil {
		http.Error(w, "You are no member of this account.", http.StatusForbidden)
		return
	}
	if next.Account == me.ID {
		next.Account = ""
	}
	if err := c.sessions.keep(w, r, next); err != nil {
		c.Log.Error("cannot keep a session", "error", err)
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// makeCode answers a program that has a personal access token with a code that begins a
// session once, within a minute.
func (c *Console) makeCode(w http.ResponseWriter, r *http.Request) {
	text := r.Header.Get(headerToken)
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && text == "" {
		text = bearer
	}
	token := plaintext.FromString(strings.TrimSpace(text))
	defer token.Clear()
	r = session{Token: token, Account: r.Header.Get(headerOrganization)}.request(r)
	var me person
	err := caller{c.Platform, r}.get(people+"/me", nil, &me)
	var code string
	if err == nil {
		s := c.sessions.begin(token, r.Header.Get(headerOrganization))
		s.Expires, s.CSRF = c.sessions.now().Add(codeTime).Unix(), ""
		code, err = c.sessions.seal(formCode, s)
	}
	if err != nil {
		p := problem{Status: http.StatusUnauthorized, Title: "Unauthorized", Detail: "A personal access token is needed."}
		if errors.As(err, new(*problem)) {
			p.Status = statusOf(err)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(p) // an error means that the program has gone
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code}) // an error means that the program has gone
}
