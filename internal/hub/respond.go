package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/archive"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/panics"
	"github.com/qhubctl/qhubctl/internal/peer"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

const (
	// maxBody bounds a JSON body, and bodyTime how long it may take to arrive.
	maxBody  = 1 << 20
	bodyTime = time.Minute
	// answerTime is how long a client may take to accept 64 KiB of an answer.
	answerTime = 30 * time.Second
	retryAfter = 2 * time.Second
)

var errNotFound = problem(http.StatusNotFound, "There is nothing here.")

func problem(status int, detail string) *execution.Problem {
	return &execution.Problem{Status: status, Title: http.StatusText(status), Detail: detail}
}

// A call is a request to the platform API, and its answer.
type call struct {
	hub    *Hub
	w      http.ResponseWriter
	r      *http.Request
	caller access.Principal
	wrote  bool
}

// An action answers a request, or says in an error why it cannot; it must not have
// begun to answer then.
type action func(ctx context.Context, c *call) error

// handle makes a handler of an action that needs a right.
func (h *Hub) handle(right access.Right, do action) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{hub: h, w: w, r: r}
		begun := time.Now()
		defer func() { c.end(begun, recover()) }()
		secure(w.Header())
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(begun.Add(bodyTime)) // uploads extend it
		_ = control.SetWriteDeadline(begun.Add(bodyTime + answerTime))
		var err error
		if c.caller, err = h.authenticate(w, r); err == nil && !c.caller.May(right) {
			err = problem(http.StatusForbidden, "The caller does not have this right: "+string(right)+".")
		}
		if err == nil {
			err = do(access.With(r.Context(), c.caller), c)
		}
		if err != nil {
			c.fail(err)
		}
	})
}

// authenticate finds the caller of a request.
func (h *Hub) authenticate(w http.ResponseWriter, r *http.Request) (access.Principal, error) {
	caller, err := h.Access.Authenticate(r)
	switch {
	case http.NewCrossOriginProtection().Check(r) != nil:
		return access.Principal{}, problem(http.StatusForbidden, "A page of another site may not do this.")
	case errors.Is(err, access.ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", h.Access.Challenge())
		return access.Principal{}, err
	case err != nil:
		return access.Principal{}, err
	case peer.FromExecution(r) && !caller.Known():
		return access.Principal{}, access.ErrForbidden
	}
	if caller.Known() {
		httpserver.Trust(r.Context())
	}
	return caller, nil
}

func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
}

// end answers for an action that has panicked, and logs the request.
func (c *call) end(begun time.Time, cause any) {
	if cause != nil {
		if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler) //nolint:forbidigo // this is how net/http is told
		}
		what, trace := panics.Describe(cause)
		c.hub.Log.Error("a request caused a panic", "route", c.r.Pattern, "panic", what, "stack", trace)
		if c.wrote {
			panic(http.ErrAbortHandler) //nolint:forbidigo // half an answer must not look whole
		}
		c.fail(execution.Internal())
	}
	level := slog.LevelInfo
	if c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
		level = slog.LevelDebug
	}
	c.hub.Log.LogAttrs(c.r.Context(), level, "request", slog.String("route", c.r.Pattern), slog.Duration("took", time.Since(begun)))
}

// asProblem is the problem document of an error. An error without a case is a
// bug of ours.
func asProblem(err error) *execution.Problem {
	if p, ok := errors.AsType[*execution.Problem](err); ok {
		return p
	}
	if errs, ok := errors.AsType[signature.Errors](err); ok {
		return &execution.Problem{
			Status: http.StatusBadRequest, Title: "Invalid request", Detail: "The input is not what the service takes; nothing was started.",
			Extensions: map[string]any{"errors": errs[:min(len(errs), 100)]},
		}
	}
	if refused, ok := errors.AsType[*archive.Error](err); ok {
		return problem(http.StatusBadRequest, refused.Error()+".")
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body may have %d KiB.", large.Limit>>10))
	}
	for _, known := range problems {
		for _, kind := range known.of {
			if errors.Is(err, kind) {
				detail := known.detail
				if detail == "" {
					detail = err.Error()
				}
				return problem(known.status, detail)
			}
		}
	}
	return execution.Internal()
}

// problems say what becomes of errors. Those without a detail are shown unchanged:
// they are about what the caller has sent.
var problems = []struct {
	of     []error
	status int
	detail string
}{
	{[]error{access.ErrUnauthenticated}, http.StatusUnauthorized, "This server asks for a valid token: X-Auth-Token, or Authorization: Bearer."},
	{[]error{access.ErrTooManyFailures}, http.StatusTooManyRequests, "There were too many failed attempts from this address. Try again later."},
	{[]error{access.ErrNotMember, access.ErrForbidden}, http.StatusForbidden, "The caller may not do this."},
	{[]error{access.ErrNotFound, registry.ErrNotFound, store.ErrNotFound, blob.ErrNotFound}, http.StatusNotFound, "Not found."},
	{[]error{registry.ErrNameTaken}, http.StatusUnprocessableEntity, "This name is taken."},
	{[]error{registry.ErrInvalid, store.ErrInvalid, registry.ErrNotReady}, http.StatusBadRequest, ""},
	{[]error{store.ErrQueueFull}, http.StatusTooManyRequests, "The queue is full and nothing was started. Try again later."},
	{[]error{store.ErrFull, blob.ErrFull}, http.StatusInsufficientStorage, "The server has no room for this. Its operator has to make some."},
	{[]error{blob.ErrTooLarge}, http.StatusRequestEntityTooLarge, fmt.Sprintf("An archive may have %d MiB.", maxArchive>>20)},
	{[]error{store.ErrBusy, store.ErrClosed}, http.StatusServiceUnavailable, "The server cannot take this now. Try again later."},
}

// fail answers with the problem that an error is. errorMessage is for clients that
// read nothing else.
func (c *call) fail(err error) {
	if c.r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // the client has gone
	}
	secure(c.w.Header())
	p := *asProblem(err)
	if p.Status >= http.StatusInternalServerError {
		p.Instance = "urn:uuid:" + uuid.NewString()
		c.hub.Log.Error("request failed", "instance", p.Instance, "route", c.r.Pattern, "error", err)
	}
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	extensions := map[string]any{"errorMessage": strings.TrimSpace(p.Title + ": " + p.Detail)}
	for name, value := range p.Extensions {
		extensions[name] = value
	}
	p.Extensions = extensions
	text, err := json.Marshal(&p)
	if err != nil {
		text = []byte(`{"status":500,"title":"Internal Server Error"}`)
	}
	c.write(p.Status, "application/problem+json", text)
}

// json answers with a document.
func (c *call) json(status int, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	c.write(status, "application/json", text)
	return nil
}

func (c *call) write(status int, contentType string, body []byte) {
	c.wrote = true
	c.w.Header().Set("Content-Type", contentType)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	c.w.WriteHeader(status)
	if _, err := c.w.Write(body); err == nil {
		_, _ = io.WriteString(c.w, "\n") // that a client is gone is no error of ours
	}
}

func (c *call) noContent() error {
	c.wrote = true
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// read reads a JSON body. Unknown members are left out: clients of other versions
// send them.
func (c *call) read(into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	err := decoder.Decode(into)
	if err == nil {
		if _, trailing := decoder.Token(); errors.Is(trailing, io.EOF) {
			return nil
		}
		err = errors.New("something follows it")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return problem(http.StatusBadRequest, fmt.Sprintf("The member %s has the wrong type.", kind.Field))
	}
	return problem(http.StatusBadRequest, "The body is not a JSON document.")
}

// page reads ?page=&size= of a list.
func (c *call) page(most int) (number, size int, err error) {
	size = min(20, most)
	for name, into := range map[string]*int{"page": &number, "size": &size} {
		text := c.r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > 1_000_000 || name == "size" && (n < 1 || n > most) {
			return 0, 0, problem(http.StatusBadRequest, fmt.Sprintf("%s must be a number; size may be 1 to %d.", name, most))
		}
		*into = n
	}
	return number, size, nil
}
