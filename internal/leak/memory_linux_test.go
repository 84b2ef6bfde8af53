package leak_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
)

// TestMemory looks for secrets in the memory of a server when the executions
// that they were for have ended. What the collector of the runtime has freed
// is overwritten by it in this test, in others it waits to be used again; what
// is found is still held.
func TestMemory(t *testing.T) {
	t.Parallel()
	var canaries, held []leak.Canary
	for _, c := range canariesFor(newSource(t), ours) {
		switch c.Cell {
		case "print", "result_value", "problem", fromDotenv:
			canaries = append(canaries, c)
			// Texts of less than 16 bytes share a block with others, which
			// may be in use for as long as the server lives.
			if c.Shape != leak.Short && c.Shape != leak.Inner && c.Cell != fromDotenv {
				held = append(held, c)
			}
		}
	}
	s := newSubject(t, program(t), ours, false, canaries)
	// Where the runtime interrupts a goroutine, it saves the registers of vectors, and
	// with them the bytes copied last; it overwrites them when it interrupts it again.
	s.workspace.env = append(s.workspace.env, "GODEBUG=clobberfree=1,asyncpreemptoff=1", "GOGC=1")
	s.serve()
	for m, status := range map[mode]string{returns: "SUCCEEDED", fails: "FAILED"} {
		l := &left{id: s.start(m, s.of(m)), files: map[string]string{}}
		s.collect(l, status)
	}
	// net/http reads by a buffer for each connection, and keeps what was in it
	// until more is read: here, headers that fill it. Each request also gives
	// the collector something to do; it sweeps when it likes.
	found := newFindings(held)
	for range 20 {
		for range 50 {
			s.client.CloseIdleConnections()
			s.get("/nothing?"+strings.Repeat("x", 8<<10), "")
		}
		found.all = nil
		found.searchMemory(t, s.command.Process.Pid)
		if len(found.all) == 0 {
			break
		}
	}
	found.report(t)
	// What the server holds, it has to: this search finds it.
	all := newFindings(canaries)
	all.searchMemory(t, s.command.Process.Pid)
	if len(all.of(fromDotenv)) == 0 {
		t.Error("not even the secrets of .env were found, which the server keeps")
	}
}

// searchMemory looks through what a process can write to.
func (f *findings) searchMemory(t *testing.T, pid int) {
	t.Helper()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = memory.Close() }()
	regions := strings.NewReader(read(t, fmt.Sprintf("/proc/%d/maps", pid)))
	for lines := bufio.NewScanner(regions); lines.Scan(); {
		var from, to uint64
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(rights, "rw") {
			continue
		}
		text := make([]byte, to-from)
		n, err := memory.ReadAt(text, int64(from))
		if err != nil && !errors.Is(err, io.EOF) && n == 0 {
			continue // gone meanwhile, or not to be read
		}
		f.search("memory "+lines.Text(), text[:n])
	}
}
