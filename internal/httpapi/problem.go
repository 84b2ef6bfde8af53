package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

// These are the types of problems that only the API returns.
const (
	TypeRequest    = "urn:qhubctl:problem:invalid-request"
	TypeUnfinished = "urn:qhubctl:problem:unfinished"
	TypeKeyReused  = "urn:qhubctl:problem:idempotency-key-reused"
	TypeFull       = "urn:qhubctl:problem:storage-full"
)

// retryAfter is when a client should repeat a request for which the server had no
// room.
const retryAfter = 2 * time.Second

// maxErrors is how many errors of a body an answer lists.
const maxErrors = 100

// problem makes a problem with the title of its status and a detail.
func problem(status int, detail string) *execution.Problem {
	return &execution.Problem{Status: status, Title: http.StatusText(status), Detail: detail}
}

func notFound(detail string) *execution.Problem { return problem(http.StatusNotFound, detail) }

// invalidBody makes a problem that lists the errors of a body.
func invalidBody(errs signature.Errors) *execution.Problem {
	p := &execution.Problem{
		Type: TypeRequest, Status: http.StatusBadRequest, Title: "Invalid request",
		Detail:     "The body is not what the service takes; nothing was started.",
		Extensions: map[string]any{"errors": errs},
	}
	if len(errs) > maxErrors {
		p.Extensions["errors"] = errs[:maxErrors]
		p.Extensions["errorsOmitted"] = len(errs) - maxErrors
	}
	return p
}

// asProblem returns the problem that the caller gets for an error. An error without
// a case here is a bug of this program.
func asProblem(err error) *execution.Problem {
	if p, ok := errors.AsType[*execution.Problem](err); ok {
		return p
	}
	if errs, ok := errors.AsType[signature.Errors](err); ok {
		return invalidBody(errs)
	}
	if large, ok := errors.AsType[*signature.TooLargeError](err); ok {
		return problem(http.StatusRequestEntityTooLarge, "The value "+large.Error()+". Nothing was started.")
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return notFound("This service has no such execution; it may have been removed.")
	case errors.Is(err, store.ErrQueueFull):
		return execution.QueueFull(retryAfter)
	case errors.Is(err, store.ErrIdempotencyMismatch):
		return &execution.Problem{
			Type: TypeKeyReused, Status: http.StatusUnprocessableEntity, Title: "Idempotency key reused",
			Detail: "An earlier request used this Idempotency-Key with another body. Use a new key for a new request.",
		}
	case errors.Is(err, store.ErrInvalid):
		return problem(http.StatusBadRequest, "The request has an invalid parameter, such as a cursor that is not from the previous page.")
	case errors.Is(err, store.ErrFull):
		return &execution.Problem{
			Type: TypeFull, Status: http.StatusInsufficientStorage, Title: "Storage full",
			Detail: "The server's disk is full; nothing was started. The operator must free space.",
		}
	case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrUnavailable):
		return problem(http.StatusServiceUnavailable, "The server cannot accept the request now. Try again later.")
	default:
		return execution.Internal()
	}
}

// writeError answers with the problem for an error.
func (a *API) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // the client is gone
	}
	p := *asProblem(err) // a copy, as the instance is set in it
	if p.Status >= http.StatusInternalServerError {
		p.Instance = "urn:uuid:" + uuid.NewString()
		a.Log.Error("request failed", "instance", p.Instance, "route", r.Pattern, "error", err)
	}
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	text, marshalErr := json.Marshal(p)
	if marshalErr != nil { // a bug: one of its extensions is not JSON
		a.Log.Error("cannot write a problem", "error", marshalErr)
		text = []byte(`{"type":"about:blank","status":500,"title":"Internal Server Error"}`)
	}
	write(w, p.Status, "application/problem+json", text)
}

// writeJSON answers with a document. If it fails, it has written nothing.
func writeJSON(w http.ResponseWriter, status int, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	write(w, status, "application/json", text)
	return nil
}

const lineEnd = "\n"

// write answers with a text and a line end, which helps people at a terminal.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+len(lineEnd)))
	w.WriteHeader(status)
	// The access log reports a client that is gone.
	if _, err := w.Write(body); err == nil { //nolint:gosec // no page: see contentType
		_, _ = io.WriteString(w, lineEnd)
	}
}
