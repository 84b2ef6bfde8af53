package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// UnreachableError is a server that does not answer.
type UnreachableError struct {
	URL string
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("the service at %s does not answer: %v", e.URL, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// Hint says how to reach a server.
func (e *UnreachableError) Hint() string {
	return "start it with `qhubctl serve`, or say where it is with --url or QHUBCTL_URL"
}

// StrangeAnswerError is an answer that no Service API gives.
type StrangeAnswerError struct {
	Status string
	Err    error
}

func (e *StrangeAnswerError) Error() string {
	return fmt.Sprintf("the server's answer (%s) is not one of the Service API: %v", e.Status, e.Err)
}

func (e *StrangeAnswerError) Unwrap() error { return e.Err }

// Hint names the likely cause.
func (e *StrangeAnswerError) Hint() string {
	return "something else may answer at this address; check --url and QHUBCTL_URL"
}

// RefusedError is a problem that the server has answered with.
type RefusedError struct{ Problem *execution.Problem }

func (e *RefusedError) Unwrap() error { return e.Problem }

func (e *RefusedError) Error() string {
	lines := []string{e.Problem.Error()}
	list, _ := e.Problem.Extensions["errors"].([]any)
	for _, item := range list {
		field, _ := item.(map[string]any)
		path, _ := field["path"].(string)
		message, _ := field["message"].(string)
		lines = append(lines, strings.TrimPrefix(path+": "+message, ": "))
	}
	return strings.Join(lines, "\n")
}

// Hint names the way out, if it is known.
func (e *RefusedError) Hint() string {
	switch e.Problem.Status {
	case http.StatusUnauthorized:
		return "put the server's token into QHUBCTL_TOKEN, or give --token @FILE"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return "try again in a few seconds"
	default:
		return ""
	}
}

// refusal turns an answer into an error.
func refusal(response *http.Response) error {
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return &StrangeAnswerError{response.Status, errors.New("it leads elsewhere, where no token and no secret is sent")}
	}
	if response.StatusCode < http.StatusBadRequest {
		return &StrangeAnswerError{response.Status, errors.New("a success is expected, or a reason")}
	}
	problem := &execution.Problem{}
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || json.Unmarshal(text, problem) != nil || problem.Title == "" {
		problem = &execution.Problem{Title: response.Status}
	}
	problem.Status = response.StatusCode
	return &RefusedError{problem}
}

// reason is the cause inside an error of net/http, which repeats the address.
func reason(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
