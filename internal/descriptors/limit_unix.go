//go:build unix

package descriptors

import (
	"math"
	"syscall"
)

// limit returns how many descriptors this process may have. Go raises the soft
// limit to the hard one when a program starts.
func limit() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(l.Cur)
}
