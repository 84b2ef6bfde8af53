//go:build !linux

package environ

// wipe does nothing: this system offers no way to change the environment that it shows
// of a process.
func wipe(map[string]string) {}
