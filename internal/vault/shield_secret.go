//go:build goexperiment.runtimesecret

package vault

import "runtime/secret"

// shielded runs code that handles keys, and has the runtime wipe the stack,
// the registers and, once unreachable, the memory that it used.
func shielded(f func() error) (err error) {
	secret.Do(func() { err = f() })
	return err
}
