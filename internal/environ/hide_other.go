//go:build !linux

package environ

// Hide does nothing: this system offers no way to change the environment that it
// shows of a process.
func Hide() error { return nil }
