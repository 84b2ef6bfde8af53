package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	sse "github.com/tmaxmax/go-sse"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// maxEvent bounds an event, which holds a line of a log or an execution.
const maxEvent = 16 << 20

// retryPauses are the waits before a stream that was cut off is opened again: a
// server needs a moment to restart.
var retryPauses = []time.Duration{0, 200 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

// Watch gives the log of an execution line by line as it comes, from its
// beginning to its end, and returns the execution then. A connection that is
// lost is made again, and no line comes twice. An error of line ends it.
func (c *Client) Watch(ctx context.Context, id execution.ID, line func(execution.LogEntry) error) (execution.Execution, error) {
	f := watcher{client: c, id: id, line: line}
	for failures := 0; ; {
		before := f.last
		ended, err := f.stream(ctx)
		switch {
		case ended != nil:
			return *ended, nil
		case f.broken != nil:
			return execution.Execution{}, f.broken
		case ctx.Err() != nil:
			return execution.Execution{}, ctx.Err()
		}
		if refused, ok := errors.AsType[*RefusedError](err); ok && refused.Problem.Status < http.StatusInternalServerError {
			return execution.Execution{}, err
		}
		if f.last != before {
			failures = 0
		}
		if failures == len(retryPauses) {
			if err == nil {
				err = &StrangeAnswerError{"200 OK", errors.New("the log ends before the execution does")}
			}
			return execution.Execution{}, err
		}
		select {
		case <-time.After(retryPauses[failures]):
		case <-ctx.Done():
		}
		failures++
	}
}

type watcher struct {
	client *Client
	id     execution.ID
	line   func(execution.LogEntry) error
	last   string // the id of the last event
	broken error  // of line
}

// stream reads one stream to its end. It returns the execution if that has
// ended too.
func (f *watcher) stream(ctx context.Context) (*execution.Execution, error) {
	header := http.Header{"Accept": {"text/event-stream"}}
	if f.last != "" {
		header.Set("Last-Event-ID", f.last)
	}
	response, err := f.client.do(ctx, http.MethodGet, "/"+f.id.String()+"/log", header, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // the stream may be endless
	if response.StatusCode == http.StatusNoContent {
		e, err := f.client.Get(ctx, f.id)
		if err != nil {
			return nil, err
		}
		return &e, nil
	}
	for event, err := range sse.Read(response.Body, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			return nil, err
		}
		if ended, err := f.accept(event); ended != nil || err != nil {
			return ended, err
		}
	}
	return nil, nil
}

func (f *watcher) accept(event sse.Event) (*execution.Execution, error) {
	switch event.Type {
	case "log":
		var entry execution.LogEntry
		if err := json.Unmarshal([]byte(event.Data), &entry); err != nil {
			return nil, err
		}
		if f.broken = f.line(entry); f.broken != nil {
			return nil, f.broken
		}
		f.last = event.LastEventID
	case "status":
		var e execution.Execution
		if err := json.Unmarshal([]byte(event.Data), &e); err != nil {
			return nil, err
		}
		if e.Status.Final() {
			return &e, nil
		}
	}
	return nil, nil
}
