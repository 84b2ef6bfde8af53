package hub

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/qhubctl/qhubctl/internal/archive"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

func problem(status int, detail string) *platformapi.Problem {
	return platformapi.NewProblem(status, detail)
}

var errNotFound = problem(http.StatusNotFound, "There is nothing here.")

// maxInvalid is how many invalid parts of a request an answer names.
const maxInvalid = 100

// explain is the problem document of an error; nil of one that is a bug of ours.
func explain(err error) *platformapi.Problem {
	if p, ok := errors.AsType[*execution.Problem](err); ok {
		return &platformapi.Problem{
			Type: p.Type, Title: p.Title, Status: p.Status, Detail: p.Detail, ErrorMessage: p.Title + ": " + p.Detail, Instance: p.Instance, Extensions: p.Extensions,
		}
	}
	if errs, ok := errors.AsType[signature.Errors](err); ok {
		p := problem(http.StatusBadRequest, "The input is not what the service takes; nothing was started.")
		for _, one := range errs[:min(len(errs), maxInvalid)] {
			p.Errors = append(p.Errors, platformapi.InvalidField{Location: "body.input", Path: one.Path, Message: one.Message})
		}
		return p
	}
	if refused, ok := errors.AsType[*archive.Error](err); ok {
		return problem(http.StatusBadRequest, refused.Error()+".")
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
	return nil
}

// problems say what becomes of errors. Those without a detail are shown unchanged:
// they are about what the caller has sent.
var problems = []struct {
	of     []error
	status int
	detail string
}{
	{[]error{registry.ErrNotFound, store.ErrNotFound, blob.ErrNotFound}, http.StatusNotFound, "Not found."},
	{[]error{registry.ErrNameTaken}, http.StatusUnprocessableEntity, "This name is taken."},
	{[]error{registry.ErrInvalid, store.ErrInvalid, registry.ErrNotReady}, http.StatusBadRequest, ""},
	{[]error{store.ErrQueueFull}, http.StatusTooManyRequests, "The queue is full and nothing was started. Try again later."},
	{[]error{blob.ErrFull}, http.StatusInsufficientStorage, "The server has no room for this. Its operator has to make some."},
	{[]error{blob.ErrTooLarge}, http.StatusRequestEntityTooLarge, fmt.Sprintf("An archive may have %d MiB.", maxArchive>>20)},
}
