package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// lookEvery is how often a stream reads the state without a signal: no signal
// reports the changes that other processes make.
const lookEvery = 2 * time.Second

// reconnectAfter is when a browser reconnects after a stream was cut off.
const reconnectAfter = time.Second

// eventStream follows one execution for one client. It sends these events and ends
// after the final state:
//
//	event: log      a line, with its number as the id
//	event: status   the execution, at first and whenever its state changes
//
// A client that was cut off sends the number of its last line in Last-Event-ID.
type eventStream struct {
	api        *API
	w          http.ResponseWriter
	r          *http.Request
	id         execution.ID
	sent       int64 // the number of the last line
	lastStatus execution.Status
}

// events streams the log and the state of an execution until it has ended.
func (a *API) events(w http.ResponseWriter, r *http.Request, e execution.Execution) error {
	after, err := lastEventID(r)
	if err != nil {
		return err
	}
	// The watch begins before the first read, so that no later change is missed.
	watch, err := a.Service.Watch(r.Context(), e.ID)
	if err != nil {
		return err
	}
	defer watch.Stop()
	if done, err := a.nothingToAdd(r, e, after); err != nil || done {
		if done {
			w.WriteHeader(http.StatusNoContent) // a browser does not reconnect
		}
		return err
	}
	w.Header().Set("Content-Type", typeEvents.String())
	w.Header().Set("X-Accel-Buffering", "no") // proxies must not buffer the stream
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	s := &eventStream{api: a, w: w, r: r, id: e.ID, sent: after}
	if err := s.run(watch.C); err != nil {
		abort() // the client reconnects
	}
	return nil
}

func lastEventID(r *http.Request) (int64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, problem(http.StatusBadRequest, "Last-Event-ID must be the id of an event.")
	}
	return after, nil
}

// nothingToAdd reports whether a client that reconnects already has every event.
func (a *API) nothingToAdd(r *http.Request, e execution.Execution, after int64) (bool, error) {
	if after == 0 || !e.Status.Final() {
		return false, nil
	}
	more, err := a.Service.ReadLog(r.Context(), e.ID, after, 1)
	return err == nil && len(more) == 0, err
}

func (s *eventStream) run(changed <-chan struct{}) error {
	beat := time.NewTicker(s.api.Limits.KeepAlive)
	defer beat.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	if err := s.send(fmt.Appendf(nil, "retry: %d\n\n", reconnectAfter.Milliseconds())); err != nil {
		return err
	}
	for {
		ended, err := s.catchUp()
		if ended || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-look.C:
		case <-beat.C:
			if err := s.send([]byte(": still here\n\n")); err != nil {
				return err
			}
		case <-s.api.draining.Done():
			return nil
		case <-s.r.Context().Done():
			return nil
		}
	}
}

// catchUp sends the new events. It reads the state before the log: if the state is
// final, the log is complete.
func (s *eventStream) catchUp() (ended bool, err error) {
	e, err := s.api.Service.Get(s.r.Context(), s.id)
	if err != nil {
		return false, err
	}
	if s.lastStatus == "" && !e.Status.Final() {
		if err := s.sendStatus(e); err != nil {
			return false, err
		}
	}
	for {
		lines, err := s.api.Service.ReadLog(s.r.Context(), s.id, s.sent, logPage)
		if err != nil {
			return false, err
		}
		var out bytes.Buffer
		for _, line := range lines {
			text, err := json.Marshal(line.Entry)
			if err != nil {
				return false, err
			}
			// JSON holds no line breaks, so it is one data line.
			fmt.Fprintf(&out, "id: %d\nevent: log\ndata: %s\n\n", line.Sequence, text)
			s.sent = line.Sequence
		}
		if err := s.send(out.Bytes()); err != nil {
			return false, err
		}
		if len(lines) < logPage {
			break
		}
	}
	if e.Status != s.lastStatus {
		if err := s.sendStatus(e); err != nil {
			return false, err
		}
	}
	return e.Status.Final(), nil
}

func (s *eventStream) sendStatus(e execution.Execution) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	s.lastStatus = e.Status
	return s.send(fmt.Appendf(nil, "event: status\ndata: %s\n\n", text))
}

func (s *eventStream) send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}
