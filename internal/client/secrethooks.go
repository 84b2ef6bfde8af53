package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// A SecretHook says where new values of a stored secret come from. Empty members are left
// out.
type SecretHook struct {
	Command string `json:"command,omitempty"`
	Webhook string `json:"webhook,omitempty"`
	Every   string `json:"every,omitempty"`
	Keep    string `json:"keep,omitempty"`
}

// A SecretRotation is a hook with its state.
type SecretRotation struct {
	SecretHook
	SetBy     string  `json:"setBy"`
	NextAt    *string `json:"nextAt"`
	LastAt    *string `json:"lastAt"`
	LastError string  `json:"lastError,omitempty"`
}

// SetSecretHook sets the hook of a stored secret.
func (p *Platform) SetSecretHook(ctx context.Context, of SecretOf, name string, h SecretHook) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return p.Send(ctx, http.MethodPut, of.path("/"+url.PathEscape(name)+"/hook"), text, nil)
}

// RemoveSecretHook takes the hook from a stored secret.
func (p *Platform) RemoveSecretHook(ctx context.Context, of SecretOf, name string) error {
	return p.Send(ctx, http.MethodDelete, of.path("/"+url.PathEscape(name)+"/hook"), nil, nil)
}

// RunSecretHook rotates a stored secret by its hook.
func (p *Platform) RunSecretHook(ctx context.Context, of SecretOf, name string) (StoredSecret, error) {
	var s StoredSecret
	err := p.Send(ctx, http.MethodPost, of.path("/"+url.PathEscape(name)+"/hook/run"), nil, &s)
	return s, err
}
