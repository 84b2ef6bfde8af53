package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// belowBase returns a request with the base path taken off, and false for a request
// that is not below it. The base itself, with and without a slash at its end, is
// the root of the API.
func belowBase(base string, r *http.Request) (*http.Request, bool) {
	path, ok := strings.CutPrefix(r.URL.Path, base)
	raw, rawOK := strings.CutPrefix(r.URL.RawPath, base)
	if !ok || !rawOK && r.URL.RawPath != "" || path != "" && path[0] != '/' {
		return nil, false
	}
	below := *r
	below.URL = &url.URL{}
	*below.URL = *r.URL
	below.URL.Path, below.URL.RawPath = path, raw
	if path == "" {
		below.URL.Path, below.URL.RawPath = "/", ""
	}
	return &below, true
}

// root is where executions are listed and started.
func (a *API) root() string { return a.Base + "/" }

// address is where an execution is asked for.
func (a *API) address(id execution.ID) string { return a.Base + "/" + id.String() }
