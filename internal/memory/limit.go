package memory

import (
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// SoftLimit sets the memory that the program aims to stay under: three
// quarters of the memory of the machine or its control group, unless GOMEMLIMIT
// is set. It returns the limit before; zero if nothing has changed.
func SoftLimit() (before int64) {
	available := Available("/")
	if os.Getenv("GOMEMLIMIT") != "" || available == math.MaxInt64 {
		return 0
	}
	return debug.SetMemoryLimit(available / 4 * 3)
}

// Available is how many bytes of memory the machine below root has, or the
// control group of this process if that is less; math.MaxInt64 if neither is
// known.
func Available(root string) int64 {
	limit := int64(math.MaxInt64)
	for line := range strings.Lines(read(root, "proc/meminfo")) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil && kib > 0 {
				limit = min(limit, kib<<10)
			}
		}
	}
	for line := range strings.Lines(read(root, "proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		folder, file := "sys/fs/cgroup", "memory.max"
		switch {
		case parts[1] == "memory":
			folder, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case parts[1] != "":
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			if bytes, err := strconv.ParseInt(strings.TrimSpace(read(root, folder, group, file)), 10, 64); err == nil && bytes > 0 {
				limit = min(limit, bytes)
			}
			if group == "/" {
				break
			}
		}
	}
	return limit
}

// read is a file's text; empty if it cannot be read, as on other systems.
func read(root string, parts ...string) string {
	text, err := os.ReadFile(path.Join(append([]string{root}, parts...)...))
	if err != nil {
		return ""
	}
	return string(text)
}
