package forkserver

import (
	"log/slog"
	"maps"
)

// A Cause is why an execution started cold.
type Cause string

// The causes.
const (
	// Preparing: its zygote was not ready, or had ended.
	Preparing Cause = "preparing"
	// Unforkable: its service cannot be forked. State has the reason.
	Unforkable Cause = "unforkable"
	// Refused: the zygote did not make a fork for it, or has no place for its
	// folders.
	Refused Cause = "refused"
	// Lost: its fork ended before it began.
	Lost Cause = "lost"
)

// Causes lists all causes.
func Causes() []Cause { return []Cause{Preparing, Unforkable, Refused, Lost} }

// Stats count how the executions of a service were started so far. No number ever
// falls.
type Stats struct {
	// Warm is how many began as forks.
	Warm int64
	// Cold is how many did not, by the cause.
	Cold map[Cause]int64
	// Zygotes is how many became ready.
	Zygotes int64
	// Evicted is how many of them the pool ended to free memory, and Idle how many
	// ended because no execution was started for long.
	Evicted, Idle int64
	// Failed is how many died, made no forks any more, or never became ready.
	Failed int64
	// FromSpare is how many forks were spares when an execution needed one, and
	// Awaited how many were made only then.
	FromSpare, Awaited int64
}

// LogValue implements [slog.LogValuer].
func (s Stats) LogValue() slog.Value {
	attributes := []slog.Attr{slog.Int64("warm", s.Warm), slog.Int64("zygotes", s.Zygotes), slog.Int64("evicted", s.Evicted)}
	for _, cause := range Causes() {
		if n := s.Cold[cause]; n > 0 {
			attributes = append(attributes, slog.Int64("cold: "+string(cause), n))
		}
	}
	return slog.GroupValue(attributes...)
}

// Stats counts how the service was started since this Program exists.
func (p *Program) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats.clone()
}

func (s Stats) clone() Stats {
	s.Cold = maps.Clone(s.Cold)
	return s
}

// count changes the counts of the program and of its pool. The caller holds p.mu.
func (p *Program) count(change func(*Stats)) {
	change(&p.stats)
	p.options.Pool.count(change)
}

// startsWarm counts an execution that has begun as a fork, by whether that was a spare
// or had to be made first.
func (p *Program) startsWarm(fromSpare bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(func(s *Stats) {
		s.Warm++
		if fromSpare {
			s.FromSpare++
		} else {
			s.Awaited++
		}
	})
}

// startsCold counts an execution that is no fork.
func (p *Program) startsCold(cause Cause, reason string) {
	p.options.Logger.Debug("an execution starts cold", "dir", p.options.Dir, "cause", string(cause), "reason", reason)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(func(s *Stats) { s.Cold[cause]++ })
}
