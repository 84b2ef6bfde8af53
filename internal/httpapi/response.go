package httpapi

import (
	"net/http"
	"time"
)

// response writes an answer under deadlines: a client that takes it slowly has
// time as long as it takes some, one that takes nothing is given up.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration

	// unread: the request has a body, and not all of it was read.
	unread bool

	status  int
	written int64
	err     error
}

func newResponse(w http.ResponseWriter, timeout time.Duration) *response {
	r := &response{ResponseWriter: w, control: http.NewResponseController(w), timeout: timeout}
	r.extend()
	return r
}

// extend renews the deadline. A writer that has none, as in tests, needs none.
func (w *response) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) }

// lastLook is how long the rest of a body that nobody wants may take.
const lastLook = time.Second

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		if w.unread { // net/http would wait for the rest before it answers
			w.Header().Set("Connection", "close")
			_ = w.control.SetReadDeadline(time.Now().Add(lastLook))
		}
		w.extend()
	}
	w.ResponseWriter.WriteHeader(status)
}

// piece is how much a client has to accept within the deadline.
const piece = 64 << 10

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	total := 0
	for {
		part := b[total:min(len(b), total+piece)]
		w.extend()
		n, err := w.ResponseWriter.Write(part)
		total += n
		w.written += int64(n)
		if err != nil || total == len(b) {
			w.err = err
			return total, err
		}
	}
}

// FlushError sends what is buffered.
func (w *response) FlushError() error {
	w.extend()
	return w.control.Flush()
}

// Unwrap is for [http.ResponseController].
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
