package seccomp_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/sandbox/seccomp"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

//go:generate go test . -run ^TestPage$ -update-docs

// TestPage compares the page about system calls with the table.
func TestPage(t *testing.T) {
	page := filepath.Join("..", "..", "..", "docs", "syscalls.md")
	for _, group := range []string{"files", "processes", "memory", "network", "machine"} {
		testenv.DocumentPart(t, page, group, table(t, group))
	}
}

// verdicts are the words of the page for a verdict.
var verdicts = map[string]string{
	"allow": "allowed", "args": "by arguments", "ipc": "own IPC", "zygote": "zygote", "zygote-args": "zygote, by arguments",
}

func table(t *testing.T, group string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| Call | x86_64 | arm64 | Verdict | Why |\n|---|---|---|---|---|\n")
	for _, c := range calls(t) {
		if c.Group != group {
			continue
		}
		numbers := [2]string{}
		for a := range numbers {
			if numbers[a] = "–"; c.Numbers[a] != seccomp.Absent {
				numbers[a] = strconv.Itoa(c.Numbers[a])
			}
		}
		verdict, ok := verdicts[c.Verdict]
		if !ok {
			verdict = "`" + c.Verdict + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", c.Name, numbers[0], numbers[1], verdict, c.Reason)
	}
	return b.String()
}
