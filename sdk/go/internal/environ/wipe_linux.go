package environ

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// afterArguments is where the last argument of the process ends. The initial environment
// block follows there. 0: the process has no arguments.
var afterArguments = endOf(os.Args)

// endOf returns the address behind the last argument and its NUL. The runtime does not
// copy arguments.
func endOf(arguments []string) int64 {
	if len(arguments) == 0 {
		return 0
	}
	last := arguments[len(arguments)-1]
	return int64(uintptr(unsafe.Pointer(unsafe.StringData(last)))) + int64(len(last)) + 1 //nolint:gosec // nothing is read by it
}

// wipe overwrites the values of variables in the initial environment block of the
// process. Go works on a copy of that block, so os.Unsetenv leaves /proc/PID/environ
// unchanged, which every program of the same user can read. The block is memory of this
// process, which the kernel lets it write through /proc/self/mem. If the kernel refuses
// (no /proc, a protected process), the block stays unchanged.
func wipe(taken map[string]string) {
	begin, end, ok := initialBlock()
	if !ok {
		return
	}
	memory, err := syscall.Open("/proc/self/mem", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer func() { _ = syscall.Close(memory) }()
	block := make([]byte, end-begin)
	defer clear(block)
	n, err := syscall.Pread(memory, block, begin)
	if err == nil {
		overwrite(memory, begin, block[:n], taken)
	}
}

// overwrite puts stars over the values in the block. It writes variables that follow each
// other together.
func overwrite(memory int, address int64, block []byte, taken map[string]string) {
	begin, end := 0, 0 // of the bytes to write
	write := func() {
		if begin < end {
			_, _ = syscall.Pwrite(memory, block[begin:end], address+int64(begin)) // best effort, see wipe
		}
	}
	at := 0
	for entry := range bytes.SplitSeq(block, []byte{0}) {
		name, value, found := bytes.Cut(entry, []byte{'='})
		if _, ok := taken[string(name)]; ok && found {
			for i := range value {
				value[i] = '*'
			}
			if at != end+1 {
				write()
				begin = at
			}
			end = at + len(entry)
		}
		at += len(entry) + 1
	}
	write()
}

// maxBlock is more than the kernel allows.
const maxBlock = 8 << 20

// initialBlock returns the bounds of the environment block. It lies between the last
// argument and the path of the program.
func initialBlock() (begin, end int64, ok bool) {
	if end, ok := programPath(); ok && 0 < end-afterArguments && end-afterArguments <= maxBlock {
		return afterArguments, end, true
	}
	return statedBlock()
}

// programPath is the address of the path of the program, which the auxiliary vector holds.
func programPath() (int64, bool) {
	const execfn, word = 31, strconv.IntSize / 8
	vector, ok := read("/proc/self/auxv")
	for ok && len(vector) >= 2*word {
		key, value := wordOf(vector), wordOf(vector[word:])
		if key == execfn {
			return value, value > 0
		}
		vector = vector[2*word:]
	}
	return 0, false
}

func wordOf(b []byte) int64 {
	if strconv.IntSize == 32 {
		return int64(binary.NativeEndian.Uint32(b))
	}
	return int64(binary.NativeEndian.Uint64(b))
}

// statedBlock returns the bounds that /proc/self/stat has in its fields 50 and 51. It takes
// longer, and knows them if something has replaced [os.Args]. The second field is a name
// in parentheses that may hold anything.
func statedBlock() (begin, end int64, ok bool) {
	const envStart = 50
	stat, ok := read("/proc/self/stat")
	if !ok {
		return 0, 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= envStart-2 {
		return 0, 0, false
	}
	begin, err := strconv.ParseInt(string(fields[envStart-3]), 10, 64)
	if err != nil {
		return 0, 0, false
	}
	end, err = strconv.ParseInt(string(fields[envStart-2]), 10, 64)
	return begin, end, err == nil && 0 < begin && begin < end && end-begin <= maxBlock
}

// read returns a short file of the kernel. It avoids package os, which would set the
// poller of the runtime up for it: a short service has no other need of that.
func read(path string) ([]byte, bool) {
	file, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	defer func() { _ = syscall.Close(file) }()
	text := make([]byte, 4<<10) // more than these files have
	for size := 0; size < len(text); {
		n, err := syscall.Read(file, text[size:])
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return nil, false
		case n == 0:
			return text[:size], true
		}
		size += n
	}
	return nil, false
}
