package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const mebi = 1 << 20

// groupLimit is a limit of this process's cgroup, as the kernel reports it; -1 if there is
// none.
func groupLimit(controller string, names ...string) int {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		base := "/sys/fs/cgroup" + parts[2]
		if strings.Contains(","+parts[1]+",", ","+controller+",") {
			base = "/sys/fs/cgroup/" + controller + parts[2]
		}
		for _, name := range names {
			value, err := os.ReadFile(base + "/" + name)
			if err != nil {
				continue
			}
			if n, err := strconv.Atoi(strings.TrimSpace(string(value))); err == nil {
				return n
			}
		}
	}
	return -1
}

func resourceLimit(resource int) int {
	var limit unix.Rlimit
	if unix.Getrlimit(resource, &limit) != nil || limit.Cur > 1<<60 {
		return -1
	}
	return int(limit.Cur)
}

// boundedProcesses names the bound on the number of processes; empty: none.
func boundedProcesses(bound int) string {
	if n := groupLimit("pids", "pids.max"); n >= 0 && n <= bound {
		return "cgroup"
	}
	if n := resourceLimit(unix.RLIMIT_NPROC); os.Getuid() != 0 && n > 0 && n <= bound {
		return "rlimit"
	}
	return ""
}

func boundedMemory(bound int) string {
	if n := groupLimit("memory", "memory.limit_in_bytes", "memory.max"); n >= 0 && n <= bound {
		return "cgroup"
	}
	if n := resourceLimit(unix.RLIMIT_DATA); n > 0 && n <= bound+256*mebi {
		return "rlimit"
	}
	return ""
}

// alone reports whether the list of processes belongs to this execution: number 1 is the
// shim, and there is hardly another.
func alone() bool {
	comm, err := os.ReadFile("/proc/1/comm")
	entries, listed := os.ReadDir("/proc")
	if err != nil || listed != nil {
		return false
	}
	numbers := 0
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err == nil {
			numbers++
		}
	}
	shim := strings.TrimSpace(string(comm))
	return (shim == "exe" || shim == "qhubctl-sandbox") && os.Getpid() < 64 && syscall.Getppid() == 1 && numbers < 16
}

func boundedSize(path string, bound int) bool {
	var size unix.Statfs_t
	return unix.Statfs(path, &size) == nil && int(size.Blocks)*int(size.Bsize) <= bound
}
