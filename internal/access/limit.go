package access

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// failureBurst is how many requests of an address may fail to authenticate at
	// once; after that it is one a second.
	failureBurst = 30
	// issueBurst is how many tokens an access key gets at once; after that it is 20
	// a second.
	issueBurst = 200
	// maxLimited bounds the names that a limiter remembers.
	maxLimited = 10_000
)

// A limiter bounds how often something happens for each name.
type limiter struct {
	every time.Duration
	burst int

	mu    sync.Mutex
	names map[string]*rate.Limiter
}

// allow reports whether it may happen for a name now, and counts it.
func (l *limiter) allow(name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limit, ok := l.names[name]
	if !ok {
		l.makeRoom(now)
		limit = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.names[name] = limit
	}
	return limit.AllowN(now, 1)
}

// makeRoom forgets the names that have their whole burst again, or all if there are
// none of these.
func (l *limiter) makeRoom(now time.Time) {
	if l.names == nil {
		l.names = map[string]*rate.Limiter{}
	}
	if len(l.names) < maxLimited {
		return
	}
	for name, limit := range l.names {
		if limit.TokensAt(now) >= float64(l.burst) {
			delete(l.names, name)
		}
	}
	if len(l.names) >= maxLimited {
		clear(l.names)
	}
}

// network names the client at an address: an IPv4 address, or the /64 of an IPv6
// address, which is what one machine is given.
func network(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}
