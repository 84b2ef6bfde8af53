package term

import (
	"fmt"
	"sync"
	"time"
)

const (
	// meterAfter is how long a transfer takes before it shows, and meterEvery how often
	// elsewhere than on a terminal.
	meterAfter = time.Second
	meterEvery = 10 * time.Second
)

// A Meter shows how far a transfer has come, if it takes longer than a second. It is safe
// for concurrent use. Make one with [Streams.Meter].
type Meter struct {
	streams *Streams
	what    string
	total   int64
	begun   time.Time

	mu   sync.Mutex
	said time.Time
	end  func(error) // nil until it shows on a terminal
	over bool
}

// Meter begins a transfer of so many bytes.
func (s *Streams) Meter(what string, total int64) *Meter {
	return &Meter{streams: s, what: what, total: total, begun: time.Now()}
}

// At says how many bytes have come.
func (m *Meter) At(done int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams
	if s.Quiet || m.over || time.Since(m.begun) < meterAfter {
		return
	}
	line := fmt.Sprintf("%s: %d %% of %s", m.what, 100*done/max(m.total, 1), Bytes(m.total))
	if !s.Animate {
		if time.Since(m.said) > meterEvery {
			m.said = time.Now()
			s.Say("%s", line)
		}
		return
	}
	if m.end == nil {
		m.end = s.Step(m.what)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil {
		s.live.what = line
	}
}

// End says that the transfer is over.
func (m *Meter) End(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	if m.end != nil {
		m.end(err)
	}
}

// Bytes is a number of bytes, for a person.
func Bytes(n int64) string {
	const unit = 1 << 10
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, names := float64(n)/unit, "KMGTPE"
	for size >= unit && len(names) > 1 {
		size, names = size/unit, names[1:]
	}
	return fmt.Sprintf("%.1f %ciB", size, names[0])
}
