package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// blockSize is how many users a block has.
const blockSize = 256

// A userRange is the range of users that servers on this machine give to executions.
// Servers share a range by blocks; each server locks its blocks.
type userRange struct {
	first, count uint32

	mu   sync.Mutex
	lock *os.File
	free []*block // locked, and not in use
	next uint32   // where the search for the next block begins
}

func newUserRange(o Options) *userRange {
	r := &userRange{first: o.FirstID, count: o.IDs}
	if r.first == 0 {
		r.first = defaultFirstID
	}
	if r.count == 0 {
		r.count = defaultIDs
	}
	return r
}

// lockDirs hold the locks of all servers on a machine; the first that can be used counts.
var lockDirs = []string{"/run/qhubctl", "/var/lib/qhubctl"}

// open opens the file that is locked byte by byte, one for each user.
func (r *userRange) open() error {
	if r.lock != nil {
		return nil
	}
	var errs []error
	for _, dir := range lockDirs {
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the lock in it is for root alone
			errs = append(errs, err)
			continue
		}
		file, err := os.OpenFile(filepath.Join(dir, "users.lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err == nil {
			r.lock = file
			return nil
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("cannot lock users for executions: %w", errors.Join(errs...))
}

// take returns a block that no other server has.
func (r *userRange) take() (*block, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.free); n > 0 {
		b := r.free[n-1]
		r.free = r.free[:n-1]
		return b, nil
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	for ; r.next+blockSize <= r.count; r.next += blockSize {
		// The lock belongs to the open file: the kernel lifts it when the server ends.
		err := unix.FcntlFlock(r.lock.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{
			Type: unix.F_WRLCK, Start: int64(r.first + r.next), Len: blockSize,
		})
		if err == nil {
			b := newBlock(r.first + r.next)
			r.next += blockSize
			return b, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("cannot lock users for executions: %w", os.NewSyscallError("fcntl", err))
		}
	}
	return nil, fmt.Errorf("all users from %d to %d are in use, by this server and others", r.first, r.first+r.count-1)
}

// give takes back a block that has no process left.
func (r *userRange) give(b *block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lock != nil {
		r.free = append(r.free, newBlock(b.first))
	}
}

// close leaves the users to other servers.
func (r *userRange) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lock != nil {
		_ = r.lock.Close()
	}
	r.lock, r.free = nil, nil
}

// A block is a run of consecutive users. It is not safe for concurrent use.
type block struct {
	first uint32
	used  [blockSize]bool
	last  int // the last one that was returned
}

func newBlock(first uint32) *block { return &block{first: first} }

func (b *block) has(id uint32) bool { return id >= b.first && id < b.first+blockSize }

func (b *block) give(id uint32) { b.used[id-b.first] = false }

func (b *block) lowest() (uint32, bool) {
	for i, used := range b.used {
		if !used {
			b.used[i] = true
			return b.first + uint32(i), true
		}
	}
	return 0, false
}

// turn returns the free user that was used longest ago.
func (b *block) turn() (uint32, bool) {
	for n := range blockSize {
		if i := (b.last + 1 + n) % blockSize; !b.used[i] {
			b.used[i], b.last = true, i
			return b.first + uint32(i), true
		}
	}
	return 0, false
}
