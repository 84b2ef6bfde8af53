//go:build !linux

package environ

// prepare does nothing, as there is nothing to wipe.
func prepare() {}

// wipe does nothing: this system offers no way to change the environment that it shows
// of a process.
func wipe(map[string]string) {}
