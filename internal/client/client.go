// Package client calls the Service API: it starts executions of a service and
// follows them to their results.
//
// It sends a token and the secrets of a request to the address it was given
// and nowhere else: a redirection is an error.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

const (
	// waitStep is how long one request waits for the end of an execution.
	waitStep = 30 * time.Second
	// headerTimeout is how long the server may take to begin an answer.
	headerTimeout = waitStep + 30*time.Second
	// maxDocument bounds the part of an answer that is read into memory.
	maxDocument = 256 << 20
)

// A Client calls one service. It is safe for concurrent use.
type Client struct {
	base  string
	token plaintext.Bytes
	http  *http.Client
	// organization is the id of the one that requests are for; empty: none is named.
	organization string
	// key gets the tokens; nil: the token above is sent.
	key *credential
}

// New makes a client for the service at an address. The token may be empty.
func New(address string, token plaintext.Bytes) (*Client, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("the address of the service is no URL") // err would repeat it
	case u.User != nil:
		return nil, errors.New("the address of the service holds a password; give the token apart from it")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New("the address of the service must begin with http:// or https://, as in http://127.0.0.1:8000")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the address of the service must end with its path")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: headerTimeout, ForceAttemptHTTP2: true}
	return &Client{
		base: strings.TrimRight(u.String(), "/"), token: token,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Started is the outcome of Start.
type Started struct {
	Execution execution.Execution
	// Replayed: the idempotency key was seen before, and this is the
	// execution that was started then.
	Replayed bool
}

// Start starts an execution. body is the JSON object of the request; key makes
// it safe to send again, and may be empty.
func (c *Client) Start(ctx context.Context, body []byte, key string) (Started, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	response, err := c.do(ctx, http.MethodPost, "/", header, bytes.NewReader(body))
	if err != nil {
		return Started{}, err
	}
	defer closeBody(response)
	var started Started
	started.Replayed = response.Header.Get("Idempotency-Replayed") == "true"
	err = decode(response, &started.Execution)
	return started, err
}

// Get reads an execution.
func (c *Client) Get(ctx context.Context, id execution.ID) (execution.Execution, error) {
	var e execution.Execution
	err := c.read(ctx, "/"+id.String(), &e)
	return e, err
}

// Wait reads an execution once it has ended.
func (c *Client) Wait(ctx context.Context, id execution.ID) (execution.Execution, error) {
	for {
		var e execution.Execution
		err := c.read(ctx, "/"+id.String()+"?wait="+waitStep.String(), &e)
		if err != nil || e.Status.Final() {
			return e, err
		}
	}
}

// List reads the executions of the service, the newest first, up to limit. An
// empty tag means all.
func (c *Client) List(ctx context.Context, tag string, limit int) ([]execution.Execution, error) {
	query := url.Values{"limit": {strconv.Itoa(min(limit, 1000))}}
	if tag != "" {
		query.Set("tag", tag)
	}
	all := []execution.Execution{}
	for next := "/?" + query.Encode(); next != "" && len(all) < limit; {
		response, err := c.do(ctx, http.MethodGet, next, acceptJSON(), nil)
		if err != nil {
			return nil, err
		}
		var page []execution.Execution
		err = decode(response, &page)
		closeBody(response)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		next = nextPage(response.Header)
	}
	return all[:min(limit, len(all))], nil
}

// nextPage is the target of the Link header; the server chooses only the query
// of the address.
func nextPage(h http.Header) string {
	target, parameters, ok := strings.Cut(strings.TrimPrefix(h.Get("Link"), "<"), ">")
	if !ok || !strings.Contains(parameters, `rel="next"`) {
		return ""
	}
	_, query, _ := strings.Cut(target, "?")
	return "/?" + query
}

// Cancel cancels an execution; one that has ended does not change.
func (c *Client) Cancel(ctx context.Context, id execution.ID) error {
	response, err := c.do(ctx, http.MethodPut, "/"+id.String()+"/cancel", nil, nil)
	if err == nil {
		closeBody(response)
	}
	return err
}

// Log reads the lines that an execution has logged so far.
func (c *Client) Log(ctx context.Context, id execution.ID) ([]execution.LogEntry, error) {
	entries := []execution.LogEntry{}
	response, err := c.do(ctx, http.MethodGet, "/"+id.String()+"/log", acceptJSON(), nil)
	if err != nil {
		return nil, err
	}
	defer closeBody(response)
	if response.StatusCode == http.StatusNoContent {
		return entries, nil
	}
	err = decode(response, &entries)
	return entries, err
}

func acceptJSON() http.Header { return http.Header{"Accept": {"application/json"}} }

func (c *Client) read(ctx context.Context, target string, into any) error {
	response, err := c.do(ctx, http.MethodGet, target, acceptJSON(), nil)
	if err != nil {
		return err
	}
	defer closeBody(response)
	return decode(response, into)
}

// do makes a request. A status other than success is an error.
func (c *Client) do(ctx context.Context, method, target string, header http.Header, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+target, body)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	if header != nil {
		request.Header = header
	}
	if c.organization != "" {
		request.Header.Set("X-OrganizationId", c.organization)
	}
	token := c.token
	if c.key != nil {
		if token, err = c.key.current(ctx, c.http); err != nil {
			return nil, err
		}
	}
	if token.Len() > 0 {
		request.Header.Set("Authorization", "Bearer "+string(token.Reveal()))
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{URL: c.base, Err: reason(err)}
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		defer closeBody(response)
		return nil, refusal(response)
	}
	return response, nil
}

func decode(response *http.Response, into any) error {
	err := json.NewDecoder(io.LimitReader(response.Body, maxDocument)).Decode(into)
	if err != nil {
		return &StrangeAnswerError{Status: response.Status, Err: err}
	}
	return nil
}

func closeBody(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	_ = response.Body.Close()
}

// Exposed reports whether others can read the requests on the way: without
// encryption, and to another machine.
func (c *Client) Exposed() bool {
	u, err := url.Parse(c.base)
	if err != nil || u.Scheme == "https" {
		return err != nil
	}
	address, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() != "localhost" && (err != nil || !address.IsLoopback())
}
