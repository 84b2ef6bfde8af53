// Package leak searches for leaked secrets. A [Canary] is a secret for one place of a
// test alone, so its discovery shows the way by which it leaked. A [Net] searches bytes
// for thousands of canaries in every form at once. The tests of this package are the
// leak matrix: services do everything that leaks secrets in practice, under the real
// program, and no secret may be in its output, answers and files (docs/security.md).
//
// The forms are made by the encoders of the standard library and by rules that are
// written down here again, and not taken from package redact. Otherwise the search would
// miss the forms that redact does not know.
package leak
