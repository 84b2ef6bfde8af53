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

// TestMemory searches the memory of a server for secrets whose executions have ended. In
// this test the collector of the runtime overwrites the memory that it frees; otherwise
// that would wait for reuse. So the search finds only secrets that are still held.
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
	// When the runtime interrupts a goroutine, it saves the vector registers, and with
	// them the last copied bytes; the next interrupt overwrites them.
	s.workspace.env = append(s.workspace.env, "GODEBUG=clobberfree=1,asyncpreemptoff=1", "GOGC=1")
	s.serve()
	for m, status := range map[mode]string{returns: "SUCCEEDED", fails: "FAILED"} {
		l := &left{id: s.start(m, s.of(m)), files: map[string]string{}}
		s.collect(l, status)
	}
	// net/http reads by a buffer for each connection, and keeps its content until it
	// reads more: here, headers that fill it. Each request also gives the collector
	// some work, because it sweeps at times of its choice.
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
	// The server must hold these secrets: the search finds them.
	all := newFindings(canaries)
	all.searchMemory(t, s.command.Process.Pid)
	if len(all.of(fromDotenv)) == 0 {
		t.Error("not even the secrets of .env were found, which the server keeps")
	}
}

// searchMemory searches the writable memory of a process.
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
			continue // it vanished, or may not be read
		}
		f.search("memory "+lines.Text(), text[:n])
	}
}
