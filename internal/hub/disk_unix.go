//go:build unix

package hub

import "golang.org/x/sys/unix"

// diskOf returns how many bytes of the disk with a folder are free, and how many it has;
// zero if it is not known.
func diskOf(dir string) (free, size uint64) {
	var disk unix.Statfs_t
	if unix.Statfs(dir, &disk) != nil {
		return 0, 0
	}
	block := uint64(disk.Bsize)
	return uint64(disk.Bavail) * block, disk.Blocks * block //nolint:unconvert // the same
}
