package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The bases of the routes that the pages call.
const (
	catalog = "/qc-catalog"
	people  = "/user-service"
)

// A caller calls the routes of the platform in this process, as the person of a request:
// a page shows and does what the API allows.
type caller struct {
	platform http.Handler
	r        *http.Request // with the credential
}

// problem is an answer of the platform with an error.
type problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	// Errors name the wrong parts of a request.
	Errors []struct {
		Location string `json:"location"`
		Message  string `json:"message"`
	} `json:"errors"`
}

// Error implements error.
func (p *problem) Error() string {
	parts := []string{cmp.Or(p.Detail, p.Title)}
	for _, e := range p.Errors {
		parts = append(parts, e.Location+": "+e.Message+".")
	}
	return strings.Join(parts, " ")
}

// statusOf is the status of an error.
func statusOf(err error) int {
	if p, ok := errors.AsType[*problem](err); ok {
		return p.Status
	}
	return http.StatusInternalServerError
}

// get reads a document.
func (c caller) get(path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.call(http.MethodGet, path, nil, out)
}

// call sends a document, if there is one, and reads the answer, if out is not nil.
func (c caller) call(method, path string, in, out any) error {
	var body io.Reader = http.NoBody
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("console: %w", err)
		}
		defer clear(text) // it may hold a secret
		body = bytes.NewReader(text)
	}
	r, err := c.request(c.r.Context(), method, path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	var answer recorded
	c.platform.ServeHTTP(&answer, r)
	defer clear(answer.body.Bytes())
	if answer.status >= http.StatusMultipleChoices {
		p := &problem{}
		if json.Unmarshal(answer.body.Bytes(), p) != nil || p.Title == "" {
			p.Title = http.StatusText(answer.status)
		}
		p.Status = answer.status
		return p
	}
	if out == nil {
		return nil
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = bytes.Clone(answer.body.Bytes())
		return nil
	}
	if err := json.Unmarshal(answer.body.Bytes(), out); err != nil {
		return fmt.Errorf("console: the answer of %s %s: %w", method, path, err)
	}
	return nil
}

// request is one of the platform, from the address of the browser.
func (c caller) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	r.RequestURI, r.RemoteAddr, r.Host, r.TLS = r.URL.RequestURI(), c.r.RemoteAddr, c.r.Host, c.r.TLS
	for _, name := range []string{headerToken, headerOrganization, "X-Forwarded-For"} {
		if values := c.r.Header.Values(name); len(values) > 0 {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	r.Header.Set("Accept", "application/json")
	return r, nil
}

// recorded is an answer in memory.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (a *recorded) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

// WriteHeader implements [http.ResponseWriter].
func (a *recorded) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements [http.ResponseWriter].
func (a *recorded) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// moment is a time of the platform API.
type moment struct{ time.Time }

// momentLayout is that of the platform API, in UTC.
const momentLayout = "2006-01-02 15:04:05"

// UnmarshalJSON implements [json.Unmarshaler].
func (m *moment) UnmarshalJSON(text []byte) error {
	var value *string
	if err := json.Unmarshal(text, &value); err != nil || value == nil || *value == "" {
		m.Time = time.Time{}
		return err
	}
	for _, layout := range []string{momentLayout, time.RFC3339Nano} {
		if at, err := time.Parse(layout, *value); err == nil {
			m.Time = at
			return nil
		}
	}
	return fmt.Errorf("console: %q is not a time", *value)
}

// list reads a list that may be longer than a page of the API: at most max elements.
func list[T any](c caller, path string, query url.Values, limit int) ([]T, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("size", strconv.Itoa(limit))
	var raw json.RawMessage
	if err := c.get(path, query, &raw); err != nil {
		return nil, err
	}
	var all []T
	if err := json.Unmarshal(raw, &all); err == nil {
		return all, nil
	}
	var paged struct{ Content []T }
	if err := json.Unmarshal(raw, &paged); err != nil {
		return nil, fmt.Errorf("console: the answer of %s: %w", path, err)
	}
	return paged.Content, nil
}
