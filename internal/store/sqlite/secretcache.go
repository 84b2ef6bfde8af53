package sqlite

import (
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/secretstore"
)

const (
	// maxCachedCandidates bounds the candidates in memory, and maxCachedSealed the bytes of
	// the sealed values.
	maxCachedCandidates = 20_000
	maxCachedSealed     = 8 << 20
)

// A secretCache has what executions were last offered, and the sealed values that they
// have pinned. Each committed operation empties it, unless the operation is known to
// change neither ([tx.steady]); so does a commit of another process. It is safe for
// concurrent use.
type secretCache struct {
	off bool // other processes may write at any time: it keeps nothing
	mu  sync.Mutex
	// emptied counts how often the cache was emptied: rows that were read before are not kept.
	emptied    uint64
	candidates map[candidateKey]candidates
	offered    int
	sealed     map[int64]secretstore.SealedVersion
	bytes      int
}

type candidateKey struct{ service, application string }

// candidates are those of one key, from a time until one of them ends.
type candidates struct {
	all         []secretstore.Candidate
	from, until time.Time // until: zero for no end
}

// empty forgets all.
func (c *secretCache) empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emptied++
	c.candidates, c.offered, c.sealed, c.bytes = nil, 0, nil, 0
}

// reading returns a mark of the current state, for the keep methods.
func (c *secretCache) reading() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.emptied
}

// offers returns the candidates of a key at a time. The caller must not change them.
func (c *secretCache) offers(key candidateKey, now time.Time) ([]secretstore.Candidate, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.candidates[key]
	ok = ok && !now.Before(known.from) && (known.until.IsZero() || now.Before(known.until))
	return known.all, ok
}

// keepOffers keeps candidates that were read after a mark.
func (c *secretCache) keepOffers(mark uint64, key candidateKey, found candidates) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off || mark != c.emptied {
		return
	}
	size := 1 + len(found.all)
	if c.offered += size; c.offered > maxCachedCandidates {
		c.candidates, c.offered = nil, size
	}
	if c.candidates == nil {
		c.candidates = map[candidateKey]candidates{}
	}
	c.candidates[key] = found
}

// values returns the sealed versions of pins, if all are known.
func (c *secretCache) values(pins []int64) ([]secretstore.SealedVersion, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]secretstore.SealedVersion, 0, len(pins))
	for _, pin := range pins {
		v, ok := c.sealed[pin]
		if !ok {
			return nil, false
		}
		all = append(all, v)
	}
	return all, true
}

// keepValues keeps sealed versions that were read after a mark.
func (c *secretCache) keepValues(mark uint64, all []secretstore.SealedVersion) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off || mark != c.emptied {
		return
	}
	for _, v := range all {
		if c.bytes += len(v.Sealed); c.bytes > maxCachedSealed {
			c.sealed, c.bytes = nil, len(v.Sealed)
		}
		if c.sealed == nil {
			c.sealed = map[int64]secretstore.SealedVersion{}
		}
		c.sealed[v.Pin] = v
	}
}
