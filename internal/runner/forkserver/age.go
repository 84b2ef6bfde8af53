package forkserver

import "time"

// limitAge replaces the current zygote when it reaches its age. The caller holds
// p.mu.
func (p *Program) limitAge() {
	if p.options.MaxAge <= 0 {
		return
	}
	current := p.current
	p.born = time.Now().Round(0) // Round drops the monotonic clock
	p.age = time.AfterFunc(p.options.MaxAge, func() { p.replace(current) })
}

func (p *Program) stopAge() {
	if p.age != nil {
		p.age.Stop()
	}
}

// replace makes another zygote. Until it is ready, executions are forks of z.
func (p *Program) replace(z *zygote) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != z || p.making != nil || p.closed {
		return
	}
	p.options.Logger.Debug("replacing a zygote that has reached its age", "dir", p.options.Dir)
	p.start(make(chan struct{}))
}

// overslept reports whether the machine was suspended when the current zygote
// reached its age: timers do not count that time. The caller holds p.mu.
func (p *Program) overslept() bool {
	return p.options.MaxAge > 0 && p.making == nil && time.Now().Round(0).Sub(p.born) > p.options.MaxAge
}
