package environ

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// kept is the variable by which the processes of an execution are recognised:
// it holds no secret, and qhubctl may itself run inside an execution.
const kept = "QHUBCTL_EXECUTION="

// Hide overwrites the values in the environment block that the kernel shows as
// /proc/PID/environ. No process of any user then finds a variable there that it
// was not given. The names stay. This process keeps its variables: Go copied
// them when it started.
//
// Call Hide before [github.com/qhubctl/qhubctl/internal/sandbox.Protect]: after
// that an ordinary user's process cannot open the files in its /proc folder
// that Hide needs. It fails where there is no /proc, and changes nothing then.
func Hide() error {
	start, err := blockStart()
	if err != nil {
		return err
	}
	block, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return fmt.Errorf("read the environment block: %w", err)
	}
	defer clear(block)
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the memory of this process: %w", err)
	}
	defer func() { _ = memory.Close() }()
	found := make([]byte, len(block))
	defer clear(found)
	if _, err := memory.ReadAt(found, start); err != nil || !bytes.Equal(found, block) {
		return errors.New("the environment block is not where the kernel says")
	}
	if _, err := memory.WriteAt(withoutValues(block), start); err != nil {
		return fmt.Errorf("overwrite the environment block: %w", err)
	}
	return nil
}

// withoutValues returns a block of the same length in which the values are NUL.
func withoutValues(block []byte) []byte {
	bare := make([]byte, len(block))
	for at := 0; at < len(block); {
		entry := block[at:]
		if end := bytes.IndexByte(entry, 0); end >= 0 {
			entry = entry[:end]
		}
		shown := bytes.IndexByte(entry, '=') + 1
		if bytes.HasPrefix(entry, []byte(kept)) {
			shown = len(entry)
		}
		copy(bare[at:], entry[:shown])
		at += len(entry) + 1
	}
	return bare
}

// blockStart is the address of the environment block: field 50 of
// /proc/self/stat, whose second field is a name in parentheses that may hold
// anything.
func blockStart() (int64, error) {
	const envStart = 50
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, fmt.Errorf("find the environment block: %w", err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= envStart-3 {
		return 0, errors.New("the kernel does not show where the environment block is")
	}
	address, err := strconv.ParseInt(string(fields[envStart-3]), 10, 64)
	if err != nil || address <= 0 {
		return 0, errors.New("the kernel does not show where the environment block is")
	}
	return address, nil
}
