package access

import (
	"strconv"
	"testing"
	"time"
)

// TestNetwork has clients counted by what one machine is given.
func TestNetwork(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7:4000":             "192.0.2.7",
		"192.0.2.7":                  "192.0.2.7",
		"[::ffff:192.0.2.7]:4000":    "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:400": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:400":         "fe80::/64",
		"@":                          "@",
		"":                           "",
	} {
		if got := network(address); got != want {
			t.Errorf("network(%q) = %q, want %q", address, got, want)
		}
	}
}

// TestLimiterForgets bounds the names that a limiter remembers, and forgets first
// those that are no longer limited.
func TestLimiterForgets(t *testing.T) {
	t.Parallel()
	l := limiter{every: time.Second, burst: 2}
	now := time.Unix(1_800_000_000, 0)
	for i := range maxLimited - 1 {
		l.allow(strconv.Itoa(i), now)
	}
	later := now.Add(time.Minute)
	for range 3 {
		l.allow("busy", later)
	}
	if l.allow("busy", later) {
		t.Error("allow(a fourth time) = true, want false")
	}
	l.allow("one more", later)
	if n := len(l.names); n != 2 {
		t.Errorf("the limiter remembers %d names, want 2: the others have their whole burst", n)
	}
	if l.allow("busy", later) {
		t.Error("allow(after others were forgotten) = true, want false")
	}
	for i := range 3 * maxLimited {
		l.allow("new "+strconv.Itoa(i), later)
	}
	if n := len(l.names); n > maxLimited {
		t.Errorf("the limiter remembers %d names, want %d at most", n, maxLimited)
	}
}
