package forkserver

import "runtime"

// take gives a fork that nobody else has: one that stands by, or a new one.
func (t *template) take() (*fork, error) {
	for {
		select {
		case f := <-t.standby:
			t.refill()
			if f.hasEnded() {
				f.discard()
				continue
			}
			f.stoodBy = true
			return f, nil
		default:
		}
		f, err := t.ask(false)
		if err != nil {
			return nil, err
		}
		if err := f.await(); err != nil {
			f.discard()
			return nil, err
		}
		return f, nil
	}
}

// refill makes one more fork stand by.
func (t *template) refill() {
	if cap(t.standby) == 0 {
		return
	}
	f, err := t.ask(t.hasTime(1))
	if err != nil {
		return // the next take makes its own
	}
	t.background(func() {
		if f.await() != nil || !t.stand(f) {
			f.discard()
		}
	})
}

// hasTime tells whether there is a processor for each execution, with so many
// more, as far as this template knows: then what is done for the latency of one
// is not at the cost of the others.
func (t *template) hasTime(more int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running+more <= runtime.NumCPU()
}

// stand has a fork stand by, unless nobody will take it.
func (t *template) stand(f *fork) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retiring {
		return false
	}
	select {
	case t.standby <- f:
		return true
	default:
		return false
	}
}

// dismiss lets the forks go that stand by. No more do.
func (t *template) dismiss() {
	for {
		select {
		case f := <-t.standby:
			f.discard()
		default:
			return
		}
	}
}
