package forkserver

import "bytes"

// imported ends the output of an import.
var imported = []byte("\x00qhubctl:imported\x00")

// maxPrinted bounds the output of an import, which the log of every execution repeats.
const maxPrinted = 1 << 20

// A recorder keeps the output of an import, because a cold start would have it in its
// log. One goroutine writes to it.
type recorder struct {
	text     []byte
	complete chan struct{} // closed when nothing more is recorded
	done     bool
	tooMuch  bool
}

func newRecorder() *recorder { return &recorder{complete: make(chan struct{})} }

// Write takes everything, and drops the output after the import.
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
