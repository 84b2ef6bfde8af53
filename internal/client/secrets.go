package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

const secretsPath = "/qc-catalog/secrets"

// A SecretVersion is a version of a stored secret, without its value.
type SecretVersion struct {
	Version     int     `json:"version"`
	State       string  `json:"state"`
	SetAt       *string `json:"setAt"`
	SetBy       string  `json:"setBy"`
	ExpiresAt   *string `json:"expiresAt"`
	KeptUntil   *string `json:"keptUntil"`
	DestroyedAt *string `json:"destroyedAt"`
	UsedAt      *string `json:"usedAt"`
	UsedBy      string  `json:"usedBy"`
	Reference   string  `json:"reference,omitempty"`
}

// A StoredSecret is a stored secret, without its value.
type StoredSecret struct {
	Name          string          `json:"name"`
	Kind          string          `json:"kind"`
	ServiceID     string          `json:"serviceId"`
	ApplicationID string          `json:"applicationId"`
	Override      string          `json:"override"`
	CreatedAt     *string         `json:"createdAt"`
	Version       int             `json:"version"`
	Newest        SecretVersion   `json:"newest"`
	UsedAt        *string         `json:"usedAt"`
	Bindings      []SecretBinding `json:"bindings"`
	Versions      []SecretVersion `json:"versions,omitempty"`
	Rotation      *SecretRotation `json:"rotation,omitempty"`
}

// A SecretBinding gives a parameter of a service a secret of the account.
type SecretBinding struct {
	ServiceID string `json:"serviceId"`
	Parameter string `json:"parameter"`
}

// SecretOf names by ids what a secret belongs to: a service, an application and a service,
// or neither for the account.
type SecretOf struct{ Service, Application string }

func (o SecretOf) query() url.Values {
	q := url.Values{}
	if o.Service != "" {
		q.Set("serviceId", o.Service)
	}
	if o.Application != "" {
		q.Set("applicationId", o.Application)
	}
	return q
}

func (o SecretOf) path(suffix string) string {
	path := secretsPath + suffix
	if q := o.query(); len(q) > 0 {
		path += "?" + q.Encode()
	}
	return path
}

// SecretTerms are those of a new version. Empty ones are left out.
type SecretTerms struct{ ExpiresAt, Keep, Override string }

// text begins a document with the terms, and has room for values, so that no copies of
// them are left behind.
func (t SecretTerms) text(room int) ([]byte, error) {
	const quoted = 6 // the most that a byte takes
	text := append(make([]byte, 0, quoted*room+1024), '{')
	for _, member := range [][2]string{{"expiresAt", t.ExpiresAt}, {"keep", t.Keep}, {"override", t.Override}} {
		if member[1] == "" {
			continue
		}
		var err error
		if text, err = appendMember(text, member[0], member[1]); err != nil {
			return nil, err
		}
		text = append(text, ',')
	}
	return text, nil
}

func appendMember[T string | []byte](text []byte, name string, value T) ([]byte, error) {
	text, err := jsontext.AppendQuote(text, name)
	if err == nil {
		text, err = jsontext.AppendQuote(append(text, ':'), value)
	}
	return text, err
}

// SetSecret sets a stored secret to a value, or to a reference if that is not empty; rotate
// says that it must exist.
func (p *Platform) SetSecret(ctx context.Context, of SecretOf, name string, value plaintext.Bytes, reference string, terms SecretTerms, rotate bool) (StoredSecret, error) {
	var set StoredSecret
	text, err := terms.text(value.Len() + len(reference))
	switch {
	case err == nil && reference != "":
		text, err = appendMember(text, "reference", reference)
	case err == nil:
		text, err = appendMember(text, "value", value.Reveal())
	}
	defer func() { clear(text[:cap(text)]) }()
	if err != nil {
		return set, fmt.Errorf("make a request: %w", err)
	}
	text = append(text, '}')
	method, path := http.MethodPut, "/"+url.PathEscape(name)
	if rotate {
		method, path = http.MethodPost, path+"/rotate"
	}
	err = p.Send(ctx, method, of.path(path), text, &set)
	return set, err
}

// ImportSecrets sets stored secrets: all or none.
func (p *Platform) ImportSecrets(ctx context.Context, of SecretOf, values map[string]plaintext.Bytes, terms SecretTerms) error {
	room := 0
	for name, value := range values {
		room += len(name) + value.Len() + 4
	}
	text, err := terms.text(room)
	defer func() { clear(text[:cap(text)]) }()
	text = append(text, `"secrets":{`...)
	first := true
	for name, value := range values {
		if !first {
			text = append(text, ',')
		}
		first = false
		if err == nil {
			text, err = appendMember(text, name, value.Reveal())
		}
	}
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	text = append(text, "}}"...)
	return p.Send(ctx, http.MethodPost, of.path("-import"), text, nil)
}

// Secrets are stored secrets of the account, without values. Empty members of of mean any.
func (p *Platform) Secrets(ctx context.Context, of SecretOf, kind string) ([]StoredSecret, error) {
	all := []StoredSecret{}
	const size = 1000
	q := of.query()
	q.Set("size", strconv.Itoa(size))
	if kind != "" {
		q.Set("kind", kind)
	}
	for page := 0; ; page++ {
		var part []StoredSecret
		q.Set("page", strconv.Itoa(page))
		if err := p.Call(ctx, http.MethodGet, secretsPath+"?"+q.Encode(), nil, &part); err != nil {
			return nil, err
		}
		if all = append(all, part...); len(part) < size {
			return all, nil
		}
	}
}

// Secret is a stored secret with its versions.
func (p *Platform) Secret(ctx context.Context, of SecretOf, name string) (StoredSecret, error) {
	var s StoredSecret
	err := p.Call(ctx, http.MethodGet, of.path("/"+url.PathEscape(name)), nil, &s)
	return s, err
}

// DeleteSecret deletes a stored secret, or one version of it unless that is 0.
func (p *Platform) DeleteSecret(ctx context.Context, of SecretOf, name string, version int) error {
	q := of.query()
	if version > 0 {
		q.Set("version", strconv.Itoa(version))
	}
	return p.Call(ctx, http.MethodDelete, secretsPath+"/"+url.PathEscape(name)+"?"+q.Encode(), nil, nil)
}

// SetSecretOverride changes which callers may replace a stored secret.
func (p *Platform) SetSecretOverride(ctx context.Context, of SecretOf, name, override string) error {
	return p.Call(ctx, http.MethodPut, of.path("/"+url.PathEscape(name)+"/override"), map[string]string{"override": override}, nil)
}

// BindSecret gives a parameter of a service a secret of the account, or takes it away.
func (p *Platform) BindSecret(ctx context.Context, name string, b SecretBinding, bound bool) error {
	method := http.MethodPut
	if !bound {
		method = http.MethodDelete
	}
	return p.Call(ctx, method, Path(secretsPath+"/", name, "/bindings/", b.ServiceID, "/", b.Parameter), nil, nil)
}

// A SecretReport compares the parameters of a service with its stored secrets.
type SecretReport struct {
	OK       bool            `json:"ok"`
	Findings []SecretFinding `json:"findings"`
}

// A SecretFinding is about a parameter or a stored secret.
type SecretFinding struct {
	Status        string  `json:"status"`
	Problem       bool    `json:"problem"`
	Name          string  `json:"name"`
	Variable      string  `json:"variable"`
	Required      bool    `json:"required"`
	From          string  `json:"from"`
	Version       int     `json:"version"`
	ExpiresAt     *string `json:"expiresAt"`
	ServiceID     string  `json:"serviceId"`
	ApplicationID string  `json:"applicationId"`
}

// CheckSecrets makes a report. within says how soon a secret that expires is a problem.
func (p *Platform) CheckSecrets(ctx context.Context, of SecretOf, within string) (SecretReport, error) {
	var r SecretReport
	q := of.query()
	if within != "" {
		q.Set("within", within)
	}
	err := p.Call(ctx, http.MethodGet, secretsPath+"-check?"+q.Encode(), nil, &r)
	return r, err
}

// Subscription finds the subscription of an application to a service, by the name or the
// id of the service.
func (p *Platform) Subscription(ctx context.Context, application, service string) (Subscription, error) {
	var all []Subscription
	if err := p.Call(ctx, http.MethodGet, "/qc-catalog/subscriptions?applicationId="+url.QueryEscape(application), nil, &all); err != nil {
		return Subscription{}, err
	}
	for _, s := range all {
		if s.Application.ID == application && (s.Service.ID == service || s.Service.Name == service) {
			return s, nil
		}
	}
	return Subscription{}, fmt.Errorf("the application is not subscribed to a service %q", service)
}
