package local

import (
	"bytes"
	"io"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// maskedLog masks one stream of a service. Both go to one terminal: what comes
// of a write is passed on at once, so that a line is not torn where something
// in it is masked.
type maskedLog struct {
	masked   *redact.Writer
	gathered bytes.Buffer
	to       io.Writer
}

func newMaskedLog(m *redact.Masker, to io.Writer) *maskedLog {
	l := &maskedLog{to: to}
	l.masked = m.Writer(&l.gathered)
	return l
}

// Write masks p and passes it on, except the end that may be half a secret.
func (l *maskedLog) Write(p []byte) (int, error) {
	if _, err := l.masked.Write(p); err != nil {
		return 0, err
	}
	return len(p), l.pass()
}

// Close passes on the end that Write has held back.
func (l *maskedLog) Close() error {
	if err := l.masked.Close(); err != nil {
		return err
	}
	return l.pass()
}

func (l *maskedLog) pass() error {
	if l.gathered.Len() == 0 {
		return nil
	}
	_, err := l.gathered.WriteTo(l.to)
	return err
}
