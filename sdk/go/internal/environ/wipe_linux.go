package environ

import (
	"bytes"
	"strconv"
	"sync"
	"syscall"
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
	block, ok := read("/proc/self/environ")
	if !ok {
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

// prepare finds the places.
func prepare() { _ = places() }

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
	memory, err := syscall.Open("/proc/self/mem", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer func() { _ = syscall.Close(memory) }()
	for _, p := range all {
		if _, ok := taken[p.name]; ok && p.size > 0 {
			p.overwrite(memory)
		}
	}
}

// overwrite puts stars over the value, after a check that the variable really stands at
// the address.
func (p place) overwrite(memory int) {
	entry := make([]byte, len(p.name)+1+p.size+1)
	defer clear(entry)
	n, err := syscall.Pread(memory, entry, p.address)
	value, found := bytes.CutPrefix(entry, []byte(p.name+"="))
	if err != nil || n < len(entry) || !found || bytes.IndexByte(value, 0) != p.size {
		return
	}
	_, _ = syscall.Pwrite(memory, bytes.Repeat([]byte{'*'}, p.size), p.address+int64(len(p.name)+1)) // best effort, see wipe
}

// read returns a file of the kernel. It avoids package os, which would set the poller of
// the runtime up for it: a short service has no other need of that.
func read(path string) ([]byte, bool) {
	file, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	defer func() { _ = syscall.Close(file) }()
	text := make([]byte, 8<<10)
	for size := 0; ; {
		n, err := syscall.Read(file, text[size:])
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			clear(text)
			return nil, false
		case n == 0:
			return text[:size], true
		}
		if size += n; size == len(text) {
			larger := make([]byte, 4*size)
			copy(larger, text)
			clear(text)
			text = larger
		}
	}
}

// initialBlock is the address of the environment block: field 50 of
// /proc/self/stat, of which the second is a name in parentheses that may hold
// anything.
func initialBlock() (int64, bool) {
	const envStart = 50
	stat, ok := read("/proc/self/stat")
	if !ok {
		return 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= envStart-3 {
		return 0, false
	}
	address, err := strconv.ParseInt(string(fields[envStart-3]), 10, 64)
	return address, err == nil && address > 0
}
