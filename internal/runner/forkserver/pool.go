package forkserver

import (
	"container/list"
	"sync"

	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// A Pool bounds the memory that the zygotes of several services take
// together. Where they take more, zygotes end that nothing runs in, the least
// recently used first, but for the last one used: their services start cold
// once, and have a new one then. It is safe for concurrent use.
type Pool struct {
	limit int64

	mu      sync.Mutex
	members list.List // of *member, the most recently used first
	places  map[*zygote]*list.Element
	taken   int64
	stats   Stats
}

// A member is a zygote that has not been told to end.
type member struct {
	program *Program
	zygote  *zygote
}

// NewPool is a pool of so many bytes of memory. Zero: a quarter of this
// machine's, or without a bound where that is not known.
func NewPool(limit int64) *Pool {
	if limit == 0 {
		limit = sandbox.MachineMemory() / 4
	}
	return &Pool{limit: limit, places: map[*zygote]*list.Element{}, stats: Stats{Cold: map[Cause]int64{}}}
}

// Memory is what the zygotes of the pool take now. What they share with their
// forks counts once, and what those have of their own does not.
func (p *Pool) Memory() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// Zygotes is how many there are in the pool now.
func (p *Pool) Zygotes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.members.Len()
}

// Stats tells how the services of the pool were started since there is the
// pool, those that are not served any more among them.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats.clone()
}

// The methods below do nothing for programs without a pool. Only fit calls
// programs, and holds no lock then: programs call the others with theirs held.

func (p *Pool) join(program *Program, z *zygote) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places[z] = p.members.PushFront(&member{program, z})
	p.taken += z.memory
}

func (p *Pool) count(change func(*Stats)) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.stats)
}

func (p *Pool) use(z *zygote) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if place := p.places[z]; place != nil {
		p.members.MoveToFront(place)
	}
}

func (p *Pool) leave(z *zygote) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if place := p.places[z]; place != nil {
		p.members.Remove(place)
		delete(p.places, z)
		p.taken -= z.memory
	}
}

// fit ends zygotes until the others fit, as far as they are idle. Those in
// use are looked at again when they no longer are.
func (p *Pool) fit() {
	if p == nil {
		return
	}
	seen := map[*zygote]bool{}
	for {
		m := p.oldest(seen)
		if m == nil {
			return
		}
		seen[m.zygote] = true
		m.program.evict(m.zygote)
	}
}

// oldest is the least recently used that was not seen; nil if all fit, or none
// is left but the one that was used last.
func (p *Pool) oldest(seen map[*zygote]bool) *member {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit <= 0 || p.taken <= p.limit {
		return nil
	}
	for place := p.members.Back(); place != p.members.Front(); place = place.Prev() {
		if m, ok := place.Value.(*member); ok && !seen[m.zygote] {
			return m
		}
	}
	return nil
}
