package filestore

import "os"

// tryLock is true: Windows does not remove a file that is open elsewhere.
func tryLock(*os.File) bool { return true }
