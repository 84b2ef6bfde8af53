package platformapi

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A Problem is a problem document (RFC 9457) with the member that the published
// command line prints, errorMessage. It never repeats a value of a request.
type Problem struct { //nolint:errname // the name that RFC 9457 gives it
	Type         string         `json:"type" doc:"A URI reference that names the kind of problem."`
	Title        string         `json:"title" doc:"The kind of problem, for a person."`
	Status       int            `json:"status" doc:"The HTTP status."`
	Detail       string         `json:"detail" doc:"The error, for a person."`
	ErrorMessage string         `json:"errorMessage" doc:"The same as detail."`
	Instance     string         `json:"instance,omitempty" doc:"Names this occurrence in the log of the server."`
	Errors       []InvalidField `json:"errors,omitempty" doc:"The parts of the request that are not valid."`
	// Extensions are further members of the document.
	Extensions map[string]any `json:"-"`
}

// An InvalidField is a part of a request that is not valid.
type InvalidField struct {
	Location string `json:"location" doc:"Where it is, such as body.name."`
	Path     string `json:"path,omitempty" doc:"Where it is in the input of a service, such as data.points[2].x."`
	Message  string `json:"message" doc:"The rule that it breaks."`
}

// NewProblem makes a problem without a type.
func NewProblem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, ErrorMessage: detail}
}

// internal is the problem of an error that the caller learns nothing of.
func internal() *Problem {
	return NewProblem(http.StatusInternalServerError, "The server could not do this. Its log says why.").named()
}

// named is a problem with a name of its occurrence.
func (p *Problem) named() *Problem {
	named := *p
	if named.Instance == "" {
		named.Instance = "urn:uuid:" + uuid.NewString()
	}
	return &named
}

// MarshalJSON implements [json.Marshaler].
func (p *Problem) MarshalJSON() ([]byte, error) {
	type plain Problem
	text, err := json.Marshal((*plain)(p))
	if err != nil || len(p.Extensions) == 0 {
		return text, err
	}
	members := maps.Clone(p.Extensions)
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	return json.Marshal(members)
}

// GetHeaders implements [huma.HeadersError].
func (p *Problem) GetHeaders() http.Header {
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		return http.Header{"Retry-After": {"2"}}
	}
	return nil
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements [huma.StatusError].
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements [huma.ContentTypeFilter].
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// newProblem makes a problem of what huma says about a request.
func newProblem(status int, message string, errs []error) *Problem {
	switch {
	case status == http.StatusUnprocessableEntity:
		status, message = http.StatusBadRequest, "The request is not valid; nothing was done."
	case status >= http.StatusInternalServerError:
		return internal()
	}
	p := NewProblem(status, message)
	for _, err := range errs {
		var detailed huma.ErrorDetailer
		if !errors.As(err, &detailed) {
			continue // it may repeat a value
		}
		if d := detailed.ErrorDetail(); d.Location != "" {
			p.Errors = append(p.Errors, InvalidField{Location: d.Location, Message: d.Message})
		}
	}
	if len(p.Errors) > 0 {
		p.Detail += " " + p.Errors[0].Location + ": " + p.Errors[0].Message + "."
		p.ErrorMessage = p.Detail
	}
	return p
}

// explain makes a problem of an error of package access; nil of another one.
func explain(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, access.ErrUnauthenticated):
		return NewProblem(http.StatusUnauthorized, "This server asks for a valid token: X-Auth-Token, or Authorization: Bearer.")
	case errors.Is(err, access.ErrNotMember):
		return NewProblem(http.StatusForbidden, "The caller is not a member of the organization that X-OrganizationId names.")
	case errors.Is(err, access.ErrTooManyFailures):
		return NewProblem(http.StatusTooManyRequests, "Too many attempts; try again later.")
	case errors.Is(err, access.ErrForbidden):
		return NewProblem(http.StatusForbidden, "The caller may not do this.")
	case errors.Is(err, access.ErrNotFound):
		return NewProblem(http.StatusNotFound, "There is no such thing, or not for this caller.")
	case errors.Is(err, access.ErrExists):
		return NewProblem(http.StatusConflict, "This name is taken.")
	case errors.Is(err, access.ErrInvalid):
		return NewProblem(http.StatusBadRequest, sentence(err))
	case errors.Is(err, access.ErrConflict):
		return NewProblem(http.StatusConflict, sentence(err))
	case errors.Is(err, store.ErrFull):
		return NewProblem(http.StatusInsufficientStorage, "The server has no room for this; nothing was changed.")
	case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrUnavailable):
		return NewProblem(http.StatusServiceUnavailable, "The server cannot take this now. Try again later.")
	default:
		return nil
	}
}

// sentence is the text of an error of package access, which repeats no value.
func sentence(err error) string {
	text := err.Error()
	for _, known := range []error{access.ErrInvalid, access.ErrConflict} {
		if at := strings.Index(text, known.Error()); at >= 0 {
			text = text[at:]
		}
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// WriteProblem answers with a problem.
func WriteProblem(w http.ResponseWriter, p *Problem) {
	text, err := json.Marshal(p)
	if err != nil {
		text = []byte(`{"type":"about:blank","status":500,"title":"Internal Server Error"}`)
	}
	secure(w.Header())
	w.Header().Set("Content-Type", p.ContentType(""))
	maps.Copy(w.Header(), p.GetHeaders())
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(text, '\n')) // a client that is gone needs no answer
}
