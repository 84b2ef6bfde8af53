package process

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// A slowSink blocks until it is released.
type slowSink struct {
	begun, release chan struct{}
	bytes.Buffer
}

func (s *slowSink) Write(p []byte) (int, error) {
	select {
	case s.begun <- struct{}{}:
		<-s.release
	default:
	}
	return s.Buffer.Write(p)
}

// TestOutputOfASlowMachineIsWhole has the time for the end of the output pass while the
// sink is still busy with the first part: all the output arrives, although an unknown
// process holds the pipe.
func TestOutputOfASlowMachineIsWhole(t *testing.T) {
	t.Parallel()
	p, err := OpenPipes()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("a line\n", 9_000) // fits into the pipe
	if _, err := p.Stdout.WriteString(text); err != nil {
		t.Fatal(err)
	}
	sink := &slowSink{begun: make(chan struct{}, 1), release: make(chan struct{})}
	p.Drain(sink, io.Discard, [2][]byte{})
	<-sink.begun
	for _, ours := range p.ours {
		if err := ours.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	close(sink.release)
	p.copying.Wait()
	if got := sink.String(); got != text {
		t.Errorf("%d bytes arrived, want all %d", len(got), len(text))
	}
	p.Abandon()
}

// TestOutputEnds: a process out of reach that prints without end does not keep the pipe
// from being closed.
func TestOutputEnds(t *testing.T) {
	t.Parallel()
	p, err := OpenPipes()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := p.Stdout.Write(make([]byte, 32<<10)); err != nil {
				return // the reader has gone
			}
		}
	}()
	p.Drain(io.Discard, io.Discard, [2][]byte{})
	for _, ours := range p.ours {
		if err := ours.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	p.copying.Wait()
	for _, ours := range p.ours {
		_ = ours.Close()
	}
	<-ended
	p.HandOver()
}
