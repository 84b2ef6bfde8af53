package seccomp_test

import (
	"testing"

	"github.com/qhubctl/qhubctl/internal/sandbox/seccomp"
)

// BenchmarkFilter makes one filter, which a server does once for each profile.
func BenchmarkFilter(b *testing.B) {
	for b.Loop() {
		if _, err := seccomp.Filter(seccomp.AMD64, seccomp.Profile{OwnProcesses: true, OwnIPC: true}); err != nil {
			b.Fatal(err)
		}
	}
}
