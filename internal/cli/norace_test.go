//go:build !race

package cli_test

// raced says that this program has the race detector, which takes memory.
const raced = false
