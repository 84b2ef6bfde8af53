package warm

import (
	"log/slog"
	"maps"
)

// A Cause is why an execution started cold.
type Cause string

// The causes.
const (
	// Preparing: its template was not ready, or had ended.
	Preparing Cause = "preparing"
	// Unforkable: its service cannot be forked. State tells why.
	Unforkable Cause = "unforkable"
	// Refused: the template did not make a fork for it, or has no place for what
	// it needs.
	Refused Cause = "refused"
	// Lost: its fork ended before it began.
	Lost Cause = "lost"
)

// Stats are how the executions of a service were started so far.
type Stats struct {
	// Warm is how many were forks.
	Warm int64
	// Cold is how many were not, by the cause.
	Cold map[Cause]int64
	// Templates is how many have come to be ready.
	Templates int64
	// Evicted is how many of them have ended for the room they took.
	Evicted int64
}

// LogValue implements [slog.LogValuer].
func (s Stats) LogValue() slog.Value {
	attributes := []slog.Attr{slog.Int64("warm", s.Warm), slog.Int64("templates", s.Templates), slog.Int64("evicted", s.Evicted)}
	for _, cause := range []Cause{Preparing, Unforkable, Refused, Lost} {
		if n := s.Cold[cause]; n > 0 {
			attributes = append(attributes, slog.Int64("cold: "+string(cause), n))
		}
	}
	return slog.GroupValue(attributes...)
}

// Stats tells how the service was started since there is this Program.
func (p *Program) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Cold = maps.Clone(s.Cold)
	return s
}

// startsCold notes that an execution is no fork.
func (p *Program) startsCold(cause Cause, reason string) {
	p.options.Logger.Debug("an execution starts cold", "dir", p.options.Dir, "cause", string(cause), "reason", reason)
	p.mu.Lock()
	defer p.mu.Unlock()
	if cause == Refused || cause == Lost { // it was to be one
		p.stats.Warm--
	}
	p.stats.Cold[cause]++
}
