package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// tokenMargin is how long before its end a token is replaced.
const tokenMargin = 2 * time.Minute

// A credential gets tokens by an access key (the client credentials grant of OAuth 2.0).
type credential struct {
	endpoint, id string
	secret       plaintext.Bytes

	mu    sync.Mutex
	token plaintext.Bytes
	until time.Time
}

// UseAccessKey has a client call its service as the application that an access key is of.
// The tokens come from /token of the same server.
func (c *Client) UseAccessKey(id string, secret plaintext.Bytes) error {
	u, err := url.Parse(c.base)
	if err != nil {
		return err
	}
	u.Path, u.RawPath = "/token", ""
	c.key = &credential{endpoint: u.String(), id: id, secret: secret}
	c.token, c.organization = plaintext.Bytes{}, ""
	return nil
}

// current returns a token that is valid.
func (k *credential) current(ctx context.Context, client *http.Client) (plaintext.Bytes, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if now.Before(k.until) {
		return k.token, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.endpoint, strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		return plaintext.Bytes{}, fmt.Errorf("make a request: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.SetBasicAuth(url.QueryEscape(k.id), url.QueryEscape(string(k.secret.Reveal())))
	response, err := client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return plaintext.Bytes{}, ctx.Err()
		}
		return plaintext.Bytes{}, &UnreachableError{URL: k.endpoint, Err: reason(err)}
	}
	defer closeBody(response)
	var answer struct {
		Token       string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		Description string `json:"error_description"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer)
	switch {
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusBadRequest:
		return plaintext.Bytes{}, &AccessKeyError{id: k.id, description: answer.Description}
	case err != nil || response.StatusCode != http.StatusOK || answer.Token == "":
		return plaintext.Bytes{}, &StrangeAnswerError{Status: response.Status, Err: errors.New("it has no token")}
	}
	k.token = plaintext.FromString(answer.Token)
	k.until = now.Add(time.Duration(answer.ExpiresIn)*time.Second - tokenMargin)
	return k.token, nil
}

// An AccessKeyError says that a server does not accept an access key.
type AccessKeyError struct{ id, description string }

func (e *AccessKeyError) Error() string {
	text := "the server does not accept the access key " + e.id
	if e.description != "" {
		text += ": " + e.description
	}
	return text
}

// Hint says how to get another key.
func (e *AccessKeyError) Hint() string {
	return "it may have expired or been revoked; make another one: qhubctl access-keys create APP --save FILE"
}
