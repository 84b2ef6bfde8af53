// Package rotation fetches new values of stored secrets: by programs on a list of the
// operator, and by webhooks at hosts on such a list. It allows nothing by default.
package rotation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretstore"
)

const (
	// fetchTime is how long a hook may take.
	fetchTime = 30 * time.Second
	// maxRedirects is how many redirects a webhook may answer with, to the same host.
	maxRedirects = 3
)

// Options say which hooks are allowed.
type Options struct {
	// Commands are programs with their arguments, by the names that hooks use.
	Commands map[string][]string
	// Hosts are those that webhooks may be at, as HOST or HOST:PORT.
	Hosts []string
	// Time is how long a hook may take. Zero: 30 seconds.
	Time time.Duration
	// Client calls webhooks. Nil: one that trusts the authorities of this machine.
	Client *http.Client
}

// Hooks implements [secretstore.Hooks].
type Hooks struct {
	options Options
	client  http.Client
}

var _ secretstore.Hooks = (*Hooks)(nil)

// New makes hooks.
func New(o Options) *Hooks {
	if o.Time == 0 {
		o.Time = fetchTime
	}
	h := &Hooks{options: o}
	if o.Client != nil {
		h.client = *o.Client
	}
	h.client.CheckRedirect = sameHost
	return h
}

// Any reports whether a hook is allowed at all.
func (h *Hooks) Any() bool { return len(h.options.Commands)+len(h.options.Hosts) > 0 }

// sameHost follows redirects to the same host only: another one would choose the value.
func sameHost(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
		return errRedirect
	}
	return nil
}

var errRedirect = errors.New("it redirects to another host, or too often")

// Check implements [secretstore.Hooks].
func (h *Hooks) Check(hook secretstore.Hook) error {
	if hook.Command != "" {
		if len(h.options.Commands[hook.Command]) == 0 {
			return errors.New("the operator has no such command: rotation.commands in the configuration of the server lists them")
		}
		return nil
	}
	address, err := url.Parse(hook.Webhook)
	switch {
	case err != nil || address.Host == "" || address.Opaque != "":
		return errors.New("the webhook must be an address such as https://vault.example.org/new-token")
	case address.User != nil || address.Fragment != "":
		return errors.New("the address of the webhook may have no user and no fragment: all members of the account see it")
	case address.Scheme != "https" && (address.Scheme != "http" || !loopback(address.Hostname())):
		return errors.New("the webhook must use https, unless it is on this machine")
	case !slices.Contains(h.options.Hosts, strings.ToLower(address.Host)):
		return errors.New("the operator does not allow webhooks at this host: --rotation-hosts lists those that may be used")
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// target tells a hook which secret it is for.
type target struct {
	Secret      string `json:"secret"`
	Account     string `json:"account"`
	Service     string `json:"service,omitempty"`
	Application string `json:"application,omitempty"`
}

// Fetch implements [secretstore.Hooks]. A program gets the names as JSON on standard input,
// and prints the value; a webhook gets them by POST, and answers with the value. One line
// end after it is dropped.
func (h *Hooks) Fetch(ctx context.Context, hook secretstore.Hook, p secretstore.Place) (plaintext.Bytes, error) {
	if err := h.Check(hook); err != nil {
		return plaintext.Bytes{}, err
	}
	names, err := json.Marshal(target{p.Name, p.Tenant, p.Service, p.Application}) //nolint:gosec // it is the name of a secret
	if err != nil {
		return plaintext.Bytes{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, h.options.Time)
	defer cancel()
	const lineEnd = 2
	text := &valueText{text: make([]byte, 0, plaintext.MaxSize+lineEnd+1)}
	defer text.wipe()
	if hook.Command != "" {
		err = h.run(bounded, h.options.Commands[hook.Command], names, text)
	} else {
		err = h.call(bounded, hook.Webhook, names, text)
	}
	if bounded.Err() != nil && ctx.Err() == nil {
		return plaintext.Bytes{}, fmt.Errorf("it gave no value within %s", h.options.Time)
	}
	if err != nil {
		return plaintext.Bytes{}, err
	}
	return text.value()
}

// run runs a program with an empty environment, in an empty folder that is removed with
// all that the program leaves there. Processes that it leaves in its group are ended.
func (h *Hooks) run(ctx context.Context, words []string, names []byte, text *valueText) error {
	dir, err := os.MkdirTemp("", "qhubctl-hook-") // only the user of the server can read it
	if err != nil {
		return errors.New("there is no folder for the program")
	}
	defer func() { _ = os.RemoveAll(dir) }()
	command := environ.Command(ctx, words[0], words[1:]...)
	command.Env = []string{}
	command.Dir = dir
	command.Stdin, command.Stdout = bytes.NewReader(names), text
	command.WaitDelay = time.Second // a child of it may still hold the pipe
	ownGroup(command)
	err = command.Run()
	endGroup(command)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("the program ended with %s", exit.ProcessState)
	}
	if err != nil {
		return errors.New("the program could not be run")
	}
	return nil
}

// call calls a webhook.
func (h *Hooks) call(ctx context.Context, address string, names []byte, text *valueText) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(names))
	if err != nil {
		return errors.New("the webhook cannot be called")
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := h.client.Do(request)
	if err != nil {
		return fmt.Errorf("the webhook cannot be called: %s", reason(err))
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the webhook answered %d", answer.StatusCode)
	}
	if err := text.fill(answer.Body); err != nil {
		return errors.New("the answer of the webhook broke off")
	}
	return nil
}

// reason is an error without the address.
func reason(err error) string {
	var network *net.OpError
	switch {
	case errors.Is(err, errRedirect):
		return errRedirect.Error()
	case errors.As(err, &network):
		return "its host does not answer"
	default:
		return "it does not speak HTTP, or does not prove that it is at its address"
	}
}

// valueText takes a value into memory that can be wiped: no buffer of io.Copy sees it.
type valueText struct{ text []byte }

// fill reads until the end, or until there is no room. An answer that breaks off is an
// error, even if that is io.ErrUnexpectedEOF: its begin is no value.
func (v *valueText) fill(r io.Reader) error {
	for len(v.text) < cap(v.text) {
		n, err := r.Read(v.text[len(v.text):cap(v.text)])
		v.text = v.text[:len(v.text)+n]
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ReadFrom implements [io.ReaderFrom]. It drops text beyond the room for a value.
func (v *valueText) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.ReadFull(r, v.text[len(v.text):cap(v.text)])
	v.text = v.text[:len(v.text)+n]
	if err == nil {
		var dropped int64
		dropped, err = io.Copy(io.Discard, r)
		return int64(n) + dropped, err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return int64(n), err
}

// Write implements [io.Writer], which package exec asks for.
func (v *valueText) Write(p []byte) (int, error) {
	n, err := v.ReadFrom(bytes.NewReader(p))
	return int(n), err
}

func (v *valueText) wipe() { clear(v.text[:cap(v.text)]) }

// value is a copy of the value.
func (v *valueText) value() (plaintext.Bytes, error) {
	value := bytes.TrimSuffix(bytes.TrimSuffix(v.text, []byte("\n")), []byte("\r"))
	if len(value) == 0 {
		return plaintext.Bytes{}, errors.New("it gave an empty value")
	}
	if err := plaintext.Check(value); err != nil {
		return plaintext.Bytes{}, fmt.Errorf("the value that it gave %w", err)
	}
	return plaintext.New(bytes.Clone(value)), nil
}
