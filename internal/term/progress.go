package term

import (
	"fmt"
	"io"
	"time"
)

var frames = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// spinner is a line that shows the current step and its time.
type spinner struct {
	what  string
	begun time.Time
	frame int
	stop  chan struct{}
	ended chan struct{}
}

// Step shows that a step has begun; the function that it returns shows that it has
// ended. On a terminal both replace the last line; elsewhere each is a line.
func (s *Streams) Step(what string) func(error) {
	begun := time.Now()
	if s.Quiet {
		return func(error) {}
	}
	if !s.Animate {
		s.Say("%s ...", what)
		return func(err error) {
			if err == nil {
				s.Say("%s: done in %s", what, took(begun))
			}
		}
	}
	live := &spinner{what: what, begun: begun, stop: make(chan struct{}), ended: make(chan struct{})}
	s.mu.Lock()
	s.live = live
	s.drawLine()
	s.mu.Unlock()
	go s.spin(live)
	return func(err error) {
		close(live.stop)
		<-live.ended
		s.mu.Lock()
		s.clearLine()
		s.live = nil
		s.mu.Unlock()
		mark := s.Good("✓")
		if err != nil {
			mark = s.Bad("✗")
		}
		s.Say("%s %s %s", mark, what, s.Faint(took(begun)))
	}
}

func took(begun time.Time) string {
	return time.Since(begun).Round(100 * time.Millisecond).String()
}

func (s *Streams) spin(live *spinner) {
	defer close(live.ended)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-live.stop:
			return
		case <-ticker.C:
			s.mu.Lock()
			live.frame++
			s.drawLine()
			s.mu.Unlock()
		}
	}
}

func (s *Streams) drawLine() {
	if s.live == nil {
		return
	}
	elapsed := ""
	if seconds := int(time.Since(s.live.begun).Seconds()); seconds > 0 {
		elapsed = s.Faint(fmt.Sprintf(" %ds", seconds))
	}
	_, _ = fmt.Fprintf(s.Err, "\r\x1b[K%s %s%s", s.paint(noteStyle, frames[s.live.frame%len(frames)]), s.live.what, elapsed)
}

func (s *Streams) clearLine() {
	if s.live != nil {
		_, _ = io.WriteString(s.Err, "\r\x1b[K")
	}
}
