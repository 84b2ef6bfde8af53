//go:build unix

package filestore

import (
	"os"
	"syscall"
)

// tryLock takes a lock that ends with the process; false if another holds it.
func tryLock(file *os.File) bool {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
