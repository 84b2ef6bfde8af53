package forkserver

import "runtime"

// take returns a fork for one execution: a spare, or a new one.
func (z *zygote) take() (*fork, error) {
	for {
		select {
		case f := <-z.spares:
			z.addSpare()
			if f.hasEnded() {
				f.discard()
				continue
			}
			f.fromSpare = true
			return f, nil
		default:
		}
		f, err := z.ask(false)
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

// addSpare makes one more spare.
func (z *zygote) addSpare() {
	if cap(z.spares) == 0 {
		return
	}
	f, err := z.ask(z.hasTime(1))
	if err != nil {
		return // the next take makes one
	}
	z.background(func() {
		if f.await() != nil || !z.park(f) {
			f.discard()
		}
	})
}

// hasTime reports whether there is a processor for each execution, with so many more, as
// far as this zygote knows. Then work for the latency of one execution does not slow
// others.
func (z *zygote) hasTime(more int) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.running+more <= runtime.NumCPU()
}

// park makes a fork a spare, unless none will be needed.
func (z *zygote) park(f *fork) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.retiring {
		return false
	}
	select {
	case z.spares <- f:
		return true
	default:
		return false
	}
}

// discardSpares discards the spares. No more are made.
func (z *zygote) discardSpares() {
	for {
		select {
		case f := <-z.spares:
			f.discard()
		default:
			return
		}
	}
}
