package environ

import (
	"bytes"
	"os"
	"strconv"
	"sync"
)

// A place is where the value of a variable stands in the initial environment block.
type place struct {
	address int64 // of the name
	name    string
	size    int // of the value
}

// places are those of all variables of the initial block, without their values. They
// never change.
var places = sync.OnceValue(func() []place {
	block, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return nil
	}
	defer clear(block)
	address, ok := initialBlock()
	if !ok {
		return nil
	}
	var all []place
	for entry := range bytes.SplitSeq(block, []byte{0}) {
		if name, value, found := bytes.Cut(entry, []byte{'='}); found {
			all = append(all, place{address, string(name), len(value)})
		}
		address += int64(len(entry)) + 1
	}
	return all
})

// wipe overwrites the values of variables in the initial environment block of the
// process. Go works on a copy of that block, so os.Unsetenv leaves /proc/PID/environ
// unchanged, which every program of the same user can read. The block is memory of this
// process, which the kernel lets it write through /proc/self/mem. If the kernel refuses
// (no /proc, a protected process), the block stays unchanged.
func wipe(taken map[string]string) {
	all := places()
	if len(all) == 0 {
		return
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer func() { _ = memory.Close() }()
	for _, p := range all {
		if _, ok := taken[p.name]; ok && p.size > 0 {
			p.overwrite(memory)
		}
	}
}

// overwrite puts stars over the value, after a check that the variable really stands at
// the address.
func (p place) overwrite(memory *os.File) {
	entry := make([]byte, len(p.name)+1+p.size+1)
	defer clear(entry)
	_, err := memory.ReadAt(entry, p.address)
	value, found := bytes.CutPrefix(entry, []byte(p.name+"="))
	if err != nil || !found || bytes.IndexByte(value, 0) != p.size {
		return
	}
	_, _ = memory.WriteAt(bytes.Repeat([]byte{'*'}, p.size), p.address+int64(len(p.name)+1)) // best effort, see wipe
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
