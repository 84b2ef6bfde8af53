package httpapi

import (
	"net/http"
	"time"
)

// response writes an answer under deadlines. A slow client has time as long as it
// accepts some bytes. The server gives up a client that accepts none.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration

	// unread says that part of the request's body was not read.
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

// extend moves the deadline. It ignores writers without deadlines, as in tests.
func (w *response) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.timeout)) }

// lastLook is how long the server still reads a body that no handler reads.
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

// piece is how many bytes a client must accept within the deadline.
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

// FlushError sends the buffered bytes.
func (w *response) FlushError() error {
	w.extend()
	return w.control.Flush()
}

// Unwrap returns the wrapped writer, as [http.ResponseController] requires.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
