package engine

import (
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/redact"
)

// The log drops text that a panic has kept from being masked.
func TestPanicEndsTheLog(t *testing.T) {
	t.Parallel()
	lw := newLogWriter(redact.New(nil), 0)
	said := ""
	lw.panicked = func(what, trace string) { said += what + trace }
	s := lw.stream(execution.Info)
	s.masked.Reset(panicking{})
	if _, err := s.Write([]byte("s3cr3t-value")); err == nil {
		t.Error("Write(panic in the masker) = no error, want one")
	}
	s.close()
	if len(lw.pending) > 0 || !strings.Contains(said, "string") || strings.Contains(said, "s3cr3t-value") {
		t.Errorf("the log is %v and the operator reads %q, want no line and a panic without its value", lw.pending, said)
	}
}

type panicking struct{}

func (panicking) Write(p []byte) (int, error) { panic(string(p)) }
