package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/qhubctl/qhubctl/internal/memory"
)

// firstPiece is how much memory a body gets before its first byte arrives,
// regardless of the length that it claims.
const firstPiece = 64 << 10

// largePiece is the number of received bytes from which a body gets all the memory
// that it claims to need.
const largePiece = 1 << 20

// body is the body of a request. Its memory counts toward Limits.Bodies until free
// wipes it.
type body struct {
	api  *API
	text []byte
	// expected is the length that the client has announced, or -1.
	expected int64
	thrift   func() // nil: the body is small
}

// free wipes the body, which the engine may have wiped before, and gives its memory
// back.
func (b *body) free() {
	clear(b.text[:cap(b.text)])
	b.api.bodies.Add(-int64(cap(b.text)))
	b.text = nil
	if b.thrift != nil {
		b.thrift()
	}
}

// grow makes room for more bytes, up to one above the limit. It wipes the memory
// that it replaces.
func (b *body) grow() error {
	size := min(max(2*cap(b.text), 4<<10), int(b.api.Limits.Body)+1)
	if size > largePiece && b.thrift == nil {
		b.thrift = memory.Thrift()
	}
	if size > largePiece && b.expected >= int64(cap(b.text)) {
		size = int(b.expected) + 1 // enough has arrived to trust the announced length
	}
	return b.move(size)
}

func (b *body) move(size int) error {
	if b.api.bodies.Add(int64(size)) > b.api.Limits.Bodies {
		b.api.bodies.Add(-int64(size))
		return problem(http.StatusServiceUnavailable, "Too many requests are being sent at once. Try again later.")
	}
	bigger := make([]byte, len(b.text), size)
	copy(bigger, b.text)
	clear(b.text)
	b.api.bodies.Add(-int64(cap(b.text)))
	b.text = bigger
	return nil
}

// dropMark drops a byte order mark before the text, which some clients send.
func (b *body) dropMark() {
	if rest, ok := bytes.CutPrefix(b.text, []byte("\ufeff")); ok {
		n := copy(b.text, rest)
		clear(b.text[n:])
		b.text = b.text[:n]
	}
}

// readBody reads a body within the limits. The caller frees the body, even after an
// error.
func (a *API) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	b := &body{api: a, expected: r.ContentLength}
	if r.ContentLength > a.Limits.Body {
		return b, a.tooLarge()
	}
	if err := b.move(int(min(max(r.ContentLength, 0)+1, firstPiece))); err != nil {
		return b, err
	}
	for {
		if len(b.text) == cap(b.text) {
			if err := b.grow(); err != nil {
				return b, err
			}
		}
		n, err := r.Body.Read(b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		switch {
		case int64(len(b.text)) > a.Limits.Body:
			return b, a.tooLarge()
		case errors.Is(err, io.EOF):
			if answer, ok := w.(*response); ok {
				answer.unread = false
			}
			b.dropMark()
			// The client may now stay silent while it waits for the answer.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			return b, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return b, problem(http.StatusRequestTimeout, fmt.Sprintf("The body did not arrive within %s.", a.Limits.BodyTimeout))
		case err != nil:
			return b, problem(http.StatusBadRequest, "The body ended before it was complete.")
		}
	}
}

func (a *API) tooLarge() error {
	return problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes; nothing was started.", a.Limits.Body))
}
