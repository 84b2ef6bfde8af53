package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	sse "github.com/tmaxmax/go-sse"
)

const servicesPath = "/qc-catalog/services"

// A Service is one of the account.
type Service struct {
	ID                  string `json:"id"`
	ServiceDefinitionID string `json:"serviceDefinitionId"`
	Name                string `json:"name"`
	DisplayName         string `json:"displayName"`
	Lifecycle           string `json:"lifecycle"`
	CreatedAt           string `json:"createdAt"`
}

// A Version is one version of a service.
type Version struct {
	ID              string `json:"id"`
	Version         string `json:"version"`
	Lifecycle       string `json:"lifecycle"`
	CreatedAt       string `json:"createdAt"`
	GatewayEndpoint string `json:"gatewayEndpoint"`
	ActiveRevision  string `json:"activeRevision,omitempty"`
}

// A Build says how a build stands.
type Build struct {
	Status           string  `json:"status"`
	Step             string  `json:"step"`
	CreatedAt        string  `json:"createdAt"`
	FinishedAt       *string `json:"finishedAt"`
	ValidationResult *struct {
		State    string   `json:"state"`
		Summary  string   `json:"summary"`
		Messages []string `json:"messages"`
	} `json:"validationResult"`
}

// Working reports whether the build goes on.
func (b Build) Working() bool { return b.Status == "WORKING" }

// Succeeded reports whether the build has made a revision.
func (b Build) Succeeded() bool { return b.Status == "SUCCESS" }

// A Revision is what one build has made.
type Revision struct {
	ID     string `json:"id"`
	Number int    `json:"number"`
	Active bool   `json:"active"`
	Build
}

// A BuildLine is a line of the log of a build.
type BuildLine struct {
	Message   string `json:"message"`
	Severity  string `json:"severity"`
	Timestamp string `json:"timestamp"`
}

// A Deployment is what the platform has accepted.
type Deployment struct {
	ServiceID       string   `json:"serviceId"`
	Name            string   `json:"name"`
	Version         string   `json:"version"`
	GatewayEndpoint string   `json:"gatewayEndpoint"`
	Revision        Revision `json:"revision"`
}

// header is that of a request for the account.
func (p *Platform) header(accept, contentType string) http.Header {
	h := http.Header{"Accept": {accept}}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return h
}

// Deploy sends an archive for a version of a service. The platform makes both if need
// be, and begins a build.
func (p *Platform) Deploy(ctx context.Context, name, version string, content []byte) (Deployment, error) {
	sum := sha256.Sum256(content)
	query := url.Values{"name": {name}, "version": {version}, "sha256": {hex.EncodeToString(sum[:])}}
	var d Deployment
	response, err := p.client.do(ctx, http.MethodPost, "/qc-catalog/deployments?"+query.Encode(), p.header("application/json", "application/zip"), bytes.NewReader(content))
	if unreachable, ok := errors.AsType[*UnreachableError](err); ok {
		return d, &PlatformError{unreachable}
	}
	if err != nil {
		return d, err
	}
	defer closeBody(response)
	err = decode(response, &d)
	return d, err
}

// Services are those of the account.
func (p *Platform) Services(ctx context.Context) ([]Service, error) {
	list := []Service{}
	err := p.Call(ctx, http.MethodGet, servicesPath, nil, &list)
	return list, err
}

// Service finds a service of the account by its name or id.
func (p *Platform) Service(ctx context.Context, nameOrID string) (Service, error) {
	list, err := p.Services(ctx)
	if err != nil {
		return Service{}, err
	}
	for _, s := range list {
		if s.Name == nameOrID || s.ID == nameOrID {
			return s, nil
		}
	}
	return Service{}, fmt.Errorf("there is no service %q in this account", nameOrID)
}

// Versions are those of a service.
func (p *Platform) Versions(ctx context.Context, service string) ([]Version, error) {
	list := []Version{}
	err := p.Call(ctx, http.MethodGet, Path(servicesPath+"/", service, "/versions"), nil, &list)
	return list, err
}

// Endpoint is the address of a service, NAME, or of one version, NAME@VERSION.
func (p *Platform) Endpoint(ctx context.Context, service string) (string, error) {
	name, version, one := strings.Cut(service, "@")
	s, err := p.Service(ctx, name)
	if err != nil {
		return "", err
	}
	versions, err := p.Versions(ctx, s.ID)
	if err != nil {
		return "", err
	}
	for _, v := range versions {
		if one && v.Version == version {
			return v.GatewayEndpoint, nil
		}
		if at := strings.LastIndexByte(v.GatewayEndpoint, '/'); !one && at > 0 {
			return v.GatewayEndpoint[:at+1] + "latest", nil
		}
	}
	return "", fmt.Errorf("the service %s has no version %q", s.Name, version)
}

// Revisions are those of a version of a service, the newest first. An empty version is
// the latest one.
func (p *Platform) Revisions(ctx context.Context, service, version string) ([]Revision, error) {
	list := []Revision{}
	path := Path(servicesPath+"/", service, "/revisions") + "?size=100"
	if version != "" {
		path += "&version=" + url.QueryEscape(version)
	}
	err := p.Call(ctx, http.MethodGet, path, nil, &list)
	return list, err
}

// Activate makes a revision the one that new requests meet.
func (p *Platform) Activate(ctx context.Context, service, revision string) (Revision, error) {
	var r Revision
	err := p.Call(ctx, http.MethodPut, Path(servicesPath+"/", service, "/revisions/", revision, "/activation"), nil, &r)
	return r, err
}

// Publish lets applications subscribe to a service: INTERNAL or PUBLIC ones.
func (p *Platform) Publish(ctx context.Context, service, scope string) error {
	return p.Call(ctx, http.MethodPut, Path(servicesPath+"/", service, "/publication"), map[string]string{"scope": scope}, nil)
}

// Unpublish takes a service back. With force it ends subscriptions.
func (p *Platform) Unpublish(ctx context.Context, service string, force bool) error {
	path := Path(servicesPath+"/", service, "/publication")
	if force {
		path += "?force=true"
	}
	return p.Call(ctx, http.MethodDelete, path, nil, nil)
}

// DeleteService deletes a service with all its versions.
func (p *Platform) DeleteService(ctx context.Context, service string) error {
	return p.Call(ctx, http.MethodDelete, Path(servicesPath+"/", service), nil, nil)
}

// BuildLog is the log of a build so far.
func (p *Platform) BuildLog(ctx context.Context, service, revision string) ([]BuildLine, error) {
	list := []BuildLine{}
	err := p.Call(ctx, http.MethodGet, Path(servicesPath+"/", service, "/revisions/", revision, "/build-logs"), nil, &list)
	return list, err
}

// WatchBuild gives the log of a build line by line until the build ends. A connection
// that is lost is made again, and no line comes twice.
func (p *Platform) WatchBuild(ctx context.Context, service, revision string, line func(BuildLine) error) (Build, error) {
	given := 0
	for failures := 0; ; {
		before := given
		ended, err := p.streamBuild(ctx, service, revision, &given, line)
		switch {
		case ended != nil || ctx.Err() != nil:
			return orZero(ended), ctx.Err()
		case err != nil && !retriable(err):
			return Build{}, err
		}
		if given != before {
			failures = 0
		}
		if failures == len(retryPauses) {
			if err == nil {
				err = &StrangeAnswerError{"200 OK", errors.New("the log ends before the build does")}
			}
			return Build{}, err
		}
		select {
		case <-time.After(retryPauses[failures]):
		case <-ctx.Done():
		}
		failures++
	}
}

func orZero(b *Build) Build {
	if b == nil {
		return Build{}
	}
	return *b
}

// A lineError is an error of the function for each line.
type lineError struct{ error }

func (e *lineError) Unwrap() error { return e.error }

func retriable(err error) bool {
	if _, ok := errors.AsType[*lineError](err); ok {
		return false
	}
	refused, ok := errors.AsType[*RefusedError](err)
	return !ok || refused.Problem.Status >= http.StatusInternalServerError || refused.Problem.Status == http.StatusTooManyRequests
}

// streamBuild reads one stream, from its beginning, and passes the lines over that were
// given before.
func (p *Platform) streamBuild(ctx context.Context, service, revision string, given *int, line func(BuildLine) error) (*Build, error) {
	path := Path(servicesPath+"/", service, "/revisions/", revision, "/build-logs")
	response, err := p.client.do(ctx, http.MethodGet, path, p.header("text/event-stream", ""), nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // it may not end alone
	seen := 0
	for event, err := range sse.Read(response.Body, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			return nil, err
		}
		switch event.Type {
		case "log":
			var l BuildLine
			if err := json.Unmarshal([]byte(event.Data), &l); err != nil {
				return nil, err
			}
			if seen++; seen <= *given {
				continue
			}
			if err := line(l); err != nil {
				return nil, &lineError{err}
			}
			*given = seen
		case "end":
			var b Build
			if err := json.Unmarshal([]byte(event.Data), &b); err != nil {
				return nil, err
			}
			return &b, nil
		}
	}
	return nil, nil //nolint:nilnil // the stream was cut
}
