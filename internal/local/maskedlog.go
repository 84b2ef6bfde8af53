package local

import (
	"bytes"
	"io"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// maskedLog masks one stream of a service. Both streams go to one terminal, so it
// passes the text of each write on in one piece: masking does not tear a line apart.
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

// Write masks p and passes it on. It holds back an end that may begin a secret.
func (l *maskedLog) Write(p []byte) (int, error) {
	if _, err := l.masked.Write(p); err != nil {
		return 0, err
	}
	return len(p), l.pass()
}

// Close passes on the text that Write has held back.
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
