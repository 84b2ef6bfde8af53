package console

import (
	"net/http"
	"strings"
)

// forPerson reports whether a browser asks for something to show.
func forPerson(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// refused holds the answer of the platform back if that is a problem document: a person
// gets a page instead.
type refused struct {
	http.ResponseWriter
	status int // of the answer that was held back
}

// Unwrap is for [http.ResponseController].
func (a *refused) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (a *refused) WriteHeader(status int) {
	problem := strings.HasPrefix(a.Header().Get("Content-Type"), "application/problem+json")
	if problem && (status == http.StatusNotFound || status == http.StatusUnauthorized) {
		a.status = status
		return
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *refused) Write(p []byte) (int, error) {
	if a.status != 0 {
		return len(p), nil
	}
	return a.ResponseWriter.Write(p)
}

// show answers a person with what the platform has at an address, with the sign-in, or
// with a page that says that nothing is there.
func (c *Console) show(w http.ResponseWriter, as, r *http.Request) {
	answer := &refused{ResponseWriter: w}
	c.Platform.ServeHTTP(answer, as)
	if answer.status == 0 {
		return
	}
	for _, name := range []string{"Content-Length", "WWW-Authenticate"} {
		w.Header().Del(name)
	}
	if answer.status == http.StatusUnauthorized {
		c.askToSignIn(w, r)
		return
	}
	c.page(func(*visit) (view, error) {
		return view{}, &problem{Status: http.StatusNotFound, Title: "No page has this address."}
	})(w, r)
}
