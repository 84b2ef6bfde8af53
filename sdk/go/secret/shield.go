//go:build !goexperiment.runtimesecret

package secret

// shielded runs code that handles plain text. A build with
// GOEXPERIMENT=runtimesecret wipes its stack and registers afterwards; this
// build cannot.
func shielded(f func()) { f() }
