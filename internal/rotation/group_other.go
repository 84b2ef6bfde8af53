//go:build !unix

package rotation

import "os/exec"

// ownGroup does nothing: only the program itself is ended.
func ownGroup(*exec.Cmd) {}

// endGroup does nothing.
func endGroup(*exec.Cmd) {}
