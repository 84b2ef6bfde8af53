package forkserver

import "bytes"

// imported ends what is printed while a service is imported.
var imported = []byte("\x00qhubctl:imported\x00")

// maxPrinted bounds what is repeated in the log of every execution.
const maxPrinted = 1 << 20

// A recorder keeps what is printed while a service is imported: a cold start
// would have it in its log. It is written to by one goroutine.
type recorder struct {
	text     []byte
	complete chan struct{} // closed when nothing more is recorded
	done     bool
	tooMuch  bool
}

func newRecorder() *recorder { return &recorder{complete: make(chan struct{})} }

// Write takes everything: what comes later is nobody's.
func (r *recorder) Write(b []byte) (int, error) {
	if r.done {
		return len(b), nil
	}
	r.text = append(r.text, b...)
	at := bytes.LastIndex(r.text, imported)
	switch {
	case at >= 0:
		r.text = r.text[:at:at]
	case len(r.text) > maxPrinted:
		r.text, r.tooMuch = nil, true
	default:
		return len(b), nil
	}
	r.done = true
	close(r.complete)
	return len(b), nil
}
