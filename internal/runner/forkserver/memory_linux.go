package forkserver

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// memoryOf is the memory of a process: of pages that it shares, its part. It is all of
// them if the system hides the parts from us, as it does for zygotes in a sandbox that
// have another user. Zero if the process has ended.
func memoryOf(pid int) int64 {
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			if size, ok := bytes.CutPrefix(lines.Bytes(), []byte("Pss:")); ok {
				return kilobytes(size)
			}
		}
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := bytes.Fields(text)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64) // the kernel writes numbers
	return pages * int64(os.Getpagesize())
}

// kilobytes reads "1234 kB".
func kilobytes(text []byte) int64 {
	number, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte(" "))
	n, _ := strconv.ParseInt(string(number), 10, 64)
	return n << 10
}
