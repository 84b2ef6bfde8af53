//go:build goexperiment.runtimesecret

package secret

import "runtime/secret"

// shielded runs code that handles plain text, and has the runtime wipe the
// stack, the registers and, once unreachable, the memory that it used.
func shielded(f func()) { secret.Do(f) }
