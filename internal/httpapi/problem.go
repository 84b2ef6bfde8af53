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

// The types of the problems that only the API has.
const (
	TypeRequest    = "urn:qhubctl:problem:invalid-request"
	TypeUnfinished = "urn:qhubctl:problem:unfinished"
	TypeKeyReused  = "urn:qhubctl:problem:idempotency-key-reused"
	TypeFull       = "urn:qhubctl:problem:storage-full"
)

// retryAfter is when a client should try again what failed for lack of room.
const retryAfter = 2 * time.Second

// maxErrors bounds the answer to a body in which everything is wrong.
const maxErrors = 100

// problem is one that says no more than its status does, but for a detail.
func problem(status int, detail string) *execution.Problem {
	return &execution.Problem{Status: status, Title: http.StatusText(status), Detail: detail}
}

func notFound(detail string) *execution.Problem { return problem(http.StatusNotFound, detail) }

// invalidBody lists what is wrong with a body.
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

// asProblem is what the caller is told of an error. An error without a case of
// its own is a bug of ours.
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
		return notFound("There is no such execution, or no longer.")
	case errors.Is(err, store.ErrQueueFull):
		return execution.QueueFull(retryAfter)
	case errors.Is(err, store.ErrIdempotencyMismatch):
		return &execution.Problem{
			Type: TypeKeyReused, Status: http.StatusUnprocessableEntity, Title: "Idempotency key reused",
			Detail: "This Idempotency-Key came with another body before. Use a new key for a new request.",
		}
	case errors.Is(err, store.ErrInvalid):
		return problem(http.StatusBadRequest, "The request has no meaning here.")
	case errors.Is(err, store.ErrFull):
		return &execution.Problem{
			Type: TypeFull, Status: http.StatusInsufficientStorage, Title: "Storage full",
			Detail: "The server has no room for another execution; nothing was started. Its operator has to make some.",
		}
	case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrClosed):
		return problem(http.StatusServiceUnavailable, "The server cannot take this now. Try again later.")
	default:
		return execution.Internal()
	}
}

// writeError answers with the problem that an error is.
func (a *API) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // nobody listens
	}
	p := *asProblem(err) // a copy: it gets an instance
	if p.Status >= http.StatusInternalServerError {
		p.Instance = "urn:uuid:" + uuid.NewString()
		a.Log.Error("request failed", "instance", p.Instance, "route", r.Pattern, "error", err)
	}
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	text, marshalErr := json.Marshal(p)
	if marshalErr != nil { // an extension of ours that is none
		a.Log.Error("cannot write a problem", "error", marshalErr)
		text = []byte(`{"type":"about:blank","status":500,"title":"Internal Server Error"}`)
	}
	write(w, p.Status, "application/problem+json", text)
}

// writeJSON answers with a document. It fails before anything is written.
func writeJSON(w http.ResponseWriter, status int, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	write(w, status, "application/json", text)
	return nil
}

const lineEnd = "\n"

// write answers with a text and a line end, for people at a terminal.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+len(lineEnd)))
	w.WriteHeader(status)
	// That a client is gone, the access log tells.
	if _, err := w.Write(body); err == nil { //nolint:gosec // no page: see contentType
		_, _ = io.WriteString(w, lineEnd)
	}
}
