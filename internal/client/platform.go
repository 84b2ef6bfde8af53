package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// A Platform calls the platform API. It is safe for concurrent use.
type Platform struct {
	client *Client
}

// NewPlatform makes a client for the platform at an address. An organization is the id
// of the one to act for; empty means the user's own account.
func NewPlatform(address string, token plaintext.Bytes, organization string) (*Platform, error) {
	c, err := New(address, token)
	if err != nil {
		return nil, err
	}
	c.organization = organization
	return &Platform{c}, nil
}

// Close gives idle connections back.
func (p *Platform) Close() { p.client.Close() }

// Exposed reports whether requests can be read on the way.
func (p *Platform) Exposed() bool { return p.client.Exposed() }

// Address is that of the platform.
func (p *Platform) Address() string { return p.client.base }

// A PlatformError says that the platform does not answer.
type PlatformError struct{ *UnreachableError }

func (e *PlatformError) Error() string {
	return fmt.Sprintf("the platform at %s does not answer: %v", e.URL, e.Err)
}

// Hint says how to get one that does.
func (e *PlatformError) Hint() string {
	return "start it with `qhubctl server`, or log in to another one"
}

// Call sends a document, if in is not nil, and reads one, if out is not nil.
func (p *Platform) Call(ctx context.Context, method, path string, in, out any) error {
	var text []byte
	if in != nil {
		var err error
		if text, err = json.Marshal(in); err != nil {
			return fmt.Errorf("make a request: %w", err)
		}
	}
	return p.Send(ctx, method, path, text, out)
}

// Send sends a document, if text is not empty, and reads one, if out is not nil.
func (p *Platform) Send(ctx context.Context, method, path string, text []byte, out any) error {
	header := acceptJSON()
	var body io.Reader
	if len(text) > 0 {
		header.Set("Content-Type", "application/json")
		body = bytes.NewReader(text)
	}
	response, err := p.client.do(ctx, method, path, header, body)
	if unreachable, ok := errors.AsType[*UnreachableError](err); ok {
		return &PlatformError{unreachable}
	}
	if err != nil {
		return err
	}
	defer closeBody(response)
	if out == nil {
		return nil
	}
	return decode(response, out)
}

// At is a client for the service whose address the platform has given. Only its path
// counts: the token goes to the platform that the user has logged in to, and nowhere else.
func (p *Platform) At(endpoint string) (*Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Path == "" {
		return nil, &StrangeAnswerError{Status: "an address", Err: errors.New("it is not that of a service")}
	}
	c := *p.client
	c.base += strings.TrimRight(u.EscapedPath(), "/")
	return &c, nil
}

// Refused reports whether an error is an answer with a status.
func Refused(err error, status int) bool {
	refused, ok := errors.AsType[*RefusedError](err)
	return ok && refused.Problem.Status == status
}

// An Identity is the caller, as the platform sees it.
type Identity struct {
	ID   string
	User struct {
		ID, Username string
	}
	AccessToken struct {
		ID, Name, Prefix string
		ExpiresAt        *string
	}
}

// An Account is one that a user can act for.
type Account struct {
	ID             string `json:"id"`
	DisplayName    string `json:"displayName"`
	IsOrganization bool   `json:"isOrganization"`
	Role           string `json:"role"`
	AccountType    string `json:"accountType"`
}

// An Application calls services.
type Application struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	CreatedAt string `json:"createdAt"`
}

// An AccessKey is a key of an application.
type AccessKey struct {
	ID          string  `json:"accessKeyId"`
	Secret      *string `json:"secretAccessKey"`
	CreatedAt   string  `json:"createdAt"`
	UsedAt      *string `json:"usedAt"`
	ExpiresAt   *string `json:"expiresAt"`
	RevealUntil *string `json:"revealUntil"`
}

// A Subscription lets an application call a service.
type Subscription struct {
	ID          string      `json:"id"`
	Application Application `json:"application"`
	Service     struct {
		ID              string `json:"id"`
		Name            string `json:"name"`
		Version         string `json:"version"`
		GatewayEndpoint string `json:"gatewayEndpoint"`
	} `json:"service"`
}

// Subscribe lets an application call a service.
func (p *Platform) Subscribe(ctx context.Context, application, service string) (Subscription, error) {
	var made Subscription
	err := p.Call(ctx, http.MethodPost, "/qc-catalog/subscriptions", map[string]string{"applicationId": application, "serviceId": service}, &made)
	return made, err
}

// A Token is a personal access token.
type Token struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Prefix    string   `json:"prefix"`
	Scopes    []string `json:"scopes"`
	CreatedAt string   `json:"createdAt"`
	UsedAt    *string  `json:"usedAt"`
	ExpiresAt *string  `json:"expiresAt"`
	Value     string   `json:"value,omitempty"`
}

// A Member is a user of an organization.
type Member struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	Role        string `json:"accessPermissionRole"`
	Pending     bool   `json:"invitationPending"`
}

// An Invitation makes a user a member of an organization.
type Invitation struct {
	ID         string `json:"id"`
	InviteeID  string `json:"inviteeId"`
	EntityName string `json:"entityName"`
	Inviter    string `json:"inviterName"`
	Role       string `json:"role"`
	Status     string `json:"status"`
	ExpiresAt  string `json:"expiresAt"`
	Token      string `json:"token,omitempty"`
}

// Path joins the parts of an address. Each second one is a name, which it escapes.
func Path(parts ...string) string {
	var path strings.Builder
	for i, part := range parts {
		if i%2 == 1 {
			part = url.PathEscape(part)
		}
		path.WriteString(part)
	}
	return path.String()
}

// Identify asks the platform about the caller.
func (p *Platform) Identify(ctx context.Context) (Identity, error) {
	var who Identity
	err := p.Call(ctx, http.MethodPost, "/qc-catalog/authorize", nil, &who)
	return who, err
}

// Accounts are those that the caller can act for.
func (p *Platform) Accounts(ctx context.Context) ([]Account, error) {
	var accounts []Account
	err := p.Call(ctx, http.MethodGet, "/qc-catalog/my/accounts", nil, &accounts)
	return accounts, err
}

// Application finds an application by its id or its name.
func (p *Platform) Application(ctx context.Context, idOrName string) (Application, error) {
	var apps []Application
	if err := p.Call(ctx, http.MethodGet, "/qc-catalog/applications", nil, &apps); err != nil {
		return Application{}, err
	}
	for _, app := range apps {
		if app.ID == idOrName || app.Name == idOrName {
			return app, nil
		}
	}
	return Application{}, &NoApplicationError{idOrName}
}

// A NoApplicationError says that an account has no such application.
type NoApplicationError struct{ Name string }

func (e *NoApplicationError) Error() string {
	return fmt.Sprintf("there is no application %q in this account", e.Name)
}
