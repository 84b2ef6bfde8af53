package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// belowBase returns a request without the base path, and false if the request is not
// below the base. The base itself, with or without a final slash, is the root of the
// API.
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

// root is the path to list and start executions.
func (a *API) root() string { return a.Base + "/" }

// address is the path of an execution.
func (a *API) address(id execution.ID) string { return a.Base + "/" + id.String() }
