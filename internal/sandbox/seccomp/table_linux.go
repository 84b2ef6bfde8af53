package seccomp

import (
	"embed"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// An Arch is an architecture: the column of its numbers in the table.
type Arch int

// The architectures.
const (
	AMD64 Arch = iota
	ARM64
	arches
)

// Absent is the number of a call that an architecture does not have.
const Absent = -1

// Native is the architecture of this program; false if the table has no column
// for it.
func Native() (Arch, bool) {
	switch runtime.GOARCH {
	case "amd64":
		return AMD64, true
	case "arm64":
		return ARM64, true
	}
	return 0, false
}

// audit is how the kernel names an architecture to a filter.
func (a Arch) audit() uint32 {
	return [arches]uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_AARCH64}[a]
}

// A Call is a line of the table.
type Call struct {
	Name    string
	Group   string // the file
	Numbers [arches]int
	// Verdict is the word in the table; see the package.
	Verdict string
	Reason  string
}

//go:embed calls/*.txt
var files embed.FS

// Calls are all system calls of the kernel, by groups.
var Calls = sync.OnceValues(func() ([]Call, error) {
	names, err := fs.Glob(files, "calls/*.txt")
	if err != nil {
		return nil, err
	}
	calls := make([]Call, 0, 400)
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		group := strings.TrimSuffix(strings.TrimPrefix(name, "calls/"), ".txt")
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' {
				continue
			}
			call, err := parse(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			call.Group = group
			calls = append(calls, call)
		}
	}
	return calls, nil
})

func parse(line string) (Call, error) {
	var fields [4]string
	rest := line
	for i := range fields {
		fields[i], rest, _ = strings.Cut(rest, " ")
		rest = strings.TrimLeft(rest, " ")
	}
	call := Call{Name: fields[0], Verdict: fields[3], Reason: rest}
	if rest == "" || !known(call) {
		return call, fmt.Errorf("no verdict with a reason in %q", line)
	}
	for a, text := range fields[1:3] {
		if call.Numbers[a] = Absent; text == "-" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return call, fmt.Errorf("no number in %q: %w", line, err)
		}
		call.Numbers[a] = int(n)
	}
	return call, nil
}

func known(c Call) bool {
	switch c.Verdict {
	case "allow", "ipc", "zygote":
		return true
	case "args", "zygote-args":
		return rules[c.Name] != nil
	}
	return refusals[c.Verdict] != 0
}

// refusals are the errors that stand in the table as verdicts.
var refusals = map[string]unix.Errno{"EPERM": unix.EPERM, "ENOSYS": unix.ENOSYS, "EOPNOTSUPP": unix.EOPNOTSUPP}

// numbered are the calls of an architecture, by their numbers.
func numbered(a Arch) ([]Call, error) {
	calls, err := Calls()
	if err != nil {
		return nil, err
	}
	calls = slices.DeleteFunc(slices.Clone(calls), func(c Call) bool { return c.Numbers[a] == Absent })
	slices.SortFunc(calls, func(x, y Call) int { return x.Numbers[a] - y.Numbers[a] })
	for i := range calls[1:] {
		if calls[i].Numbers[a] == calls[i+1].Numbers[a] {
			return nil, fmt.Errorf("%s and %s have one number", calls[i].Name, calls[i+1].Name)
		}
	}
	return calls, nil
}
