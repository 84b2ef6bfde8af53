// Package leak finds secrets where none may be. A [Canary] is a secret that is
// given to one place of a test alone, so that whoever finds it knows by which
// way it came out; a [Net] searches bytes for thousands of canaries in every
// form at once. The tests of this package are the leak matrix: services do
// all that leaks secrets in practice, under the real program, and nothing of
// that may be found in what it says, answers and keeps (docs/security.md).
//
// The forms are made by the encoders of the standard library and by rules
// written down here again, and not taken from package redact: a form that it
// does not know would else not be looked for.
package leak
