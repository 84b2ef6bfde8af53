package environ

import (
	"bytes"
	"os"
	"strconv"
)

// wipe overwrites the value of a variable in the initial environment block of the
// process. Go works on a copy of that block, so os.Unsetenv leaves /proc/PID/environ
// unchanged, which every program of the same user can read. The block is memory of this
// process, which the kernel lets it write through /proc/self/mem. If the kernel refuses
// (no /proc, a protected process), the block stays unchanged.
func wipe(name string) {
	block, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return
	}
	defer clear(block)
	start, ok := initialBlock()
	if !ok {
		return
	}
	for offset := 0; offset < len(block); {
		entry := block[offset:]
		if end := bytes.IndexByte(entry, 0); end >= 0 {
			entry = entry[:end]
		}
		if value, found := bytes.CutPrefix(entry, []byte(name+"=")); found {
			overwrite(start+int64(offset), entry, len(value))
		}
		offset += len(entry) + 1
	}
}

// overwrite puts stars over the last n bytes of entry, after a check that entry really
// stands at the address.
func overwrite(address int64, entry []byte, n int) {
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer func() { _ = memory.Close() }()
	found := make([]byte, len(entry))
	defer clear(found)
	if _, err := memory.ReadAt(found, address); err != nil || !bytes.Equal(found, entry) {
		return
	}
	_, _ = memory.WriteAt(bytes.Repeat([]byte{'*'}, n), address+int64(len(entry)-n)) // best effort, see wipe
}

// initialBlock is the address of the environment block: field 50 of
// /proc/self/stat, of which the second is a name in parentheses that may hold
// anything.
func initialBlock() (int64, bool) {
	const envStart = 50
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= envStart-3 {
		return 0, false
	}
	address, err := strconv.ParseInt(string(fields[envStart-3]), 10, 64)
	return address, err == nil && address > 0
}
