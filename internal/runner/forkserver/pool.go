package forkserver

import (
	"container/list"
	"sync"

	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// A Pool bounds the memory that the zygotes of several services take together. If
// they exceed it, the pool ends idle zygotes, the least recently used first, but never
// the last one used. Their services start cold once, and get a new zygote then. A Pool
// is safe for concurrent use.
type Pool struct {
	limit int64

	mu      sync.Mutex
	members list.List // of *member, the most recently used first
	places  map[*zygote]*list.Element
	taken   int64
	stats   Stats
}

// A member is a zygote that the pool has not ended yet.
type member struct {
	program *Program
	zygote  *zygote
}

// NewPool is a pool of so many bytes of memory. Zero means a quarter of this machine's
// memory, or no bound if that is not known.
func NewPool(limit int64) *Pool {
	if limit == 0 {
		limit = sandbox.MachineMemory() / 4
	}
	return &Pool{limit: limit, places: map[*zygote]*list.Element{}, stats: Stats{Cold: map[Cause]int64{}}}
}

// Memory is the memory of the zygotes of the pool now. Pages that they share with their
// forks count once; other pages of forks do not count.
func (p *Pool) Memory() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// Zygotes is the number of zygotes in the pool now.
func (p *Pool) Zygotes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.members.Len()
}

// Stats counts how the services of the pool have started since the pool exists, those
// that are no longer served included.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats.clone()
}

// The methods below do nothing for programs without a pool. Only fit calls programs,
// and it holds no lock then: programs hold theirs when they call the others.

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

// fit ends idle zygotes until the others fit. It visits those in use again when they
// become idle.
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

// oldest is the least recently used member that was not seen; nil if all fit, or if
// only the last one used is left.
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
