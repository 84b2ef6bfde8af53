package access

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// cacheFor is how long another process may change a token before this one
	// notices. Changes of this process count at once.
	cacheFor = 5 * time.Second
	// maxCached bounds the entries of a cache.
	maxCached = 10_000
	// maxID is the length of the longest id that is looked for.
	maxID = 64
)

// A cacheKey is a credential and the tenant that it is used for. Secrets are no part
// of it: only their digests are.
type cacheKey struct {
	digest       [sha256.Size]byte
	organization string
}

type cached struct {
	principal Principal
	until     time.Time
	changes   uint64 // when it was looked up
}

// A subscribed is whether an application may call a service.
type subscribed struct {
	yes     bool
	until   time.Time
	changes uint64
}

// A cache remembers principals and subscriptions. The zero value is empty.
type cache struct {
	mu            sync.RWMutex
	principals    map[cacheKey]cached
	subscriptions map[[2]string]subscribed // by application and service
}

func (c *cache) principal(key cacheKey, now time.Time, changes uint64) (Principal, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found, ok := c.principals[key]
	return found.principal, ok && found.changes == changes && now.Before(found.until)
}

func (c *cache) put(key cacheKey, p cached) {
	if len(key.organization) > maxID {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.principals == nil || len(c.principals) >= maxCached {
		c.principals = map[cacheKey]cached{}
	}
	c.principals[key] = p
}

func (c *cache) subscription(key [2]string, now time.Time, changes uint64) (yes, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found, ok := c.subscriptions[key]
	return found.yes, ok && found.changes == changes && now.Before(found.until)
}

func (c *cache) putSubscription(key [2]string, s subscribed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subscriptions == nil || len(c.subscriptions) >= maxCached {
		c.subscriptions = map[[2]string]subscribed{}
	}
	c.subscriptions[key] = s
}
