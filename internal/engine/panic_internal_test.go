package engine

import (
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// The log drops text that a panic has kept from being masked: of the masker, or where it
// is made.
func TestPanicEndsTheLog(t *testing.T) {
	t.Parallel()
	p := &prepared{masked: make(chan struct{}), panicked: "s3cr3t-value"}
	close(p.masked)
	lw := newLogWriter(p.logMasker, 0)
	broken := lw.stream(execution.Info)
	checkPanicEndsTheLog(t, lw, broken)

	lw = newLogWriter(maskerOf(), 0)
	broken = lw.stream(execution.Info)
	broken.masked = lw.masker().Writer(panicking{})
	checkPanicEndsTheLog(t, lw, broken)
}

func checkPanicEndsTheLog(t *testing.T, lw *logWriter, s *stream) {
	t.Helper()
	said := ""
	lw.panicked = func(what, trace string) { said += what + trace }
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
