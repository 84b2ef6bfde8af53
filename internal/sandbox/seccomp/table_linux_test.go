package seccomp_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/sandbox/seccomp"
)

func calls(t testing.TB) []seccomp.Call {
	t.Helper()
	list, err := seccomp.Calls()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// numbers are the calls of an architecture in the table.
func numbers(t *testing.T, a seccomp.Arch) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, c := range calls(t) {
		if n := c.Numbers[a]; n != seccomp.Absent {
			found[c.Name] = n
		}
	}
	return found
}

// TestTableIsComplete holds the table against the numbers of
// golang.org/x/sys/unix, for both architectures.
func TestTableIsComplete(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys")
	dir, err := list.Output()
	if err != nil {
		t.Fatalf("go list -m golang.org/x/sys: %v, want its folder", err)
	}
	constant := regexp.MustCompile(`(?m)^\s+SYS_(\w+)\s+=\s+(\d+)$`)
	for arch, file := range map[seccomp.Arch]string{seccomp.AMD64: "amd64", seccomp.ARM64: "arm64"} {
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_"+file+".go"))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{}
		for _, found := range constant.FindAllStringSubmatch(string(source), -1) {
			want[strings.ToLower(found[1])] = number(t, found[2])
		}
		delete(want, "arch_specific_syscall") // where numbers of other architectures begin
		if len(want) < 300 {
			t.Fatalf("%s: golang.org/x/sys/unix names %d calls, want more than 300", file, len(want))
		}
		if got := numbers(t, arch); !maps.Equal(got, want) {
			for name, n := range want {
				if got[name] != n {
					t.Errorf("%s: %s is %d in the table, want %d", file, name, got[name], n)
				}
			}
			for name := range got {
				if _, ok := want[name]; !ok {
					t.Errorf("%s: golang.org/x/sys/unix has no %s, want each call of the table there", file, name)
				}
			}
		}
	}
}

// TestTableKnowsTheHeaders holds the table against the headers of the kernel, as
// far as this machine has them: they may be newer than golang.org/x/sys/unix.
func TestTableKnowsTheHeaders(t *testing.T) {
	found := false
	for _, header := range []struct {
		path string
		arch seccomp.Arch
		// others are numbers of other architectures: the calls with times of 64
		// bits for those of 32, and where an architecture begins its own.
		others func(n int) bool
	}{
		{"/usr/include/x86_64-linux-gnu/asm/unistd_64.h", seccomp.AMD64, func(int) bool { return false }},
		{"/usr/include/aarch64-linux-gnu/asm/unistd_64.h", seccomp.ARM64, func(int) bool { return false }},
		{"/usr/include/asm-generic/unistd.h", seccomp.ARM64, func(n int) bool { return n == 244 || n >= 403 && n <= 423 }},
	} {
		source, err := os.ReadFile(header.path)
		if err != nil {
			continue
		}
		found = true
		known := slices.Collect(maps.Values(numbers(t, header.arch)))
		for _, call := range regexp.MustCompile(`(?m)^#define (__NR\w*_\w+) (\d+)$`).FindAllStringSubmatch(string(source), -1) {
			name, n := call[1], number(t, call[2])
			if name == "__NR_syscalls" || header.others(n) || slices.Contains(known, n) {
				continue
			}
			t.Errorf("%s: the table has no %s %d, want a line with a verdict in calls/*.txt", header.path, name, n)
		}
	}
	if !found {
		t.Skip("this machine has no headers of the kernel")
	}
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTableIsReviewed checks that each call is in the table once, and has a
// meaningful reason.
func TestTableIsReviewed(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range calls(t) {
		if seen[c.Name] {
			t.Errorf("%s is in the table twice, want it once", c.Name)
		}
		seen[c.Name] = true
		if len(c.Reason) < 5 || strings.HasSuffix(c.Reason, ".") {
			t.Errorf("%s: the reason is %q, want a few words without a period", c.Name, c.Reason)
		}
	}
}
