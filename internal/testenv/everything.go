package testenv

import (
	"os"
	"testing"
)

// EverythingVariable is the variable by which `make attack` asks for tests that take
// minutes.
const EverythingVariable = "QHUBCTL_TEST_EVERYTHING"

// Everything reports whether tests that repeat others, and take minutes, are wanted.
func Everything() bool { return os.Getenv(EverythingVariable) != "" }

// NeedEverything skips a test unless [Everything] is wanted.
func NeedEverything(t *testing.T) {
	t.Helper()
	if !Everything() {
		t.Skip("make attack does it: it repeats other tests, and takes minutes")
	}
}
