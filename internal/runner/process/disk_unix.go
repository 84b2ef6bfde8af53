//go:build unix

package process

import "golang.org/x/sys/unix"

// minimumFree is what a disk has left that is not full.
const minimumFree = 1 << 20

// diskFull reports whether the disk of a folder is full.
func diskFull(dir string) bool {
	var disk unix.Statfs_t
	return unix.Statfs(dir, &disk) == nil && uint64(disk.Bavail)*uint64(disk.Bsize) < minimumFree //nolint:unconvert // they differ between systems
}
