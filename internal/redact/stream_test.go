package redact

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// TestReaderShowsAtOnce reads from a stream that does not end: decided text
// comes while the other side waits for an answer.
func TestReaderShowsAtOnce(t *testing.T) {
	in, out := io.Pipe()
	r := newMasker([]byte("hunter2")).Reader(in)
	shown := make(chan string)
	go func() {
		defer close(shown)
		p := make([]byte, 100)
		for {
			n, err := r.Read(p)
			if n > 0 {
				shown <- string(p[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	for _, step := range []struct{ write, shown string }{
		{"Password: ", "Password: "}, {".", "."}, {"40%\r", "40%\r"}, {"a hunter", "a "}, {"2", Mask}, {" hun", " "},
	} {
		if _, err := out.Write([]byte(step.write)); err != nil {
			t.Fatal(err)
		}
		if got := <-shown; got != step.shown {
			t.Fatalf("after %q: %q is shown, want %q", step.write, got, step.shown)
		}
	}
	_ = out.Close()
	if rest := <-shown; rest != "hun" {
		t.Errorf("%q is shown at the end, want %q", rest, "hun")
	}
	<-shown
}

func TestReaderReset(t *testing.T) {
	r := newMasker([]byte("hunter2")).Reader(bytes.NewBufferString("first hunter2 hunter"))
	p := make([]byte, 8)
	if n, err := r.Read(p); err != nil || string(p[:n]) != "first [r" {
		t.Fatalf("%q, %v", p[:n], err)
	}
	for range 2 {
		r.Reset(bytes.NewBufferString("2 hunter2 b"))
		if got, err := io.ReadAll(r); err != nil || string(got) != "2 [redacted] b" {
			t.Fatalf("after Reset: %q, %v", got, err)
		}
	}
}

// TestLongStreamsAllocateNothing sends many times what a buffer holds, with
// and without hits, through a writer and a reader: what they allocate does not
// grow with the length.
func TestLongStreamsAllocateNothing(t *testing.T) {
	const rounds, limit = 16, 256 << 10
	for _, load := range redacttest.Workloads(256 << 10) {
		m := newMasker(load.Secrets...)
		m.automaton().makeTable() // built once, for any length
		w := m.Writer(struct{ io.Writer }{io.Discard})
		grown := allocated(func() {
			for range rounds {
				for at := 0; at < len(load.Text); at += load.Piece {
					if _, err := w.Write(load.Text[at:min(len(load.Text), at+load.Piece)]); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
		if grown > limit {
			t.Errorf("%s: writing it %d times allocated %d KiB", load.Name, rounds, grown>>10)
		}
		texts := make([]io.Reader, rounds)
		for i := range texts {
			texts[i] = bytes.NewReader(load.Text)
		}
		r := m.Reader(io.MultiReader(texts...))
		p := make([]byte, load.Piece)
		grown = allocated(func() {
			for {
				if _, err := r.Read(p); errors.Is(err, io.EOF) {
					return
				} else if err != nil {
					t.Fatal(err)
				}
			}
		})
		if grown > limit {
			t.Errorf("%s: reading it %d times allocated %d KiB", load.Name, rounds, grown>>10)
		}
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestFormsLeaveNoCopies: memory that the growing list of forms leaves behind
// is wiped, so that a heap holds no secret of which no masker knows.
func TestFormsLeaveNoCopies(t *testing.T) {
	var left [][]byte
	set := formSet{arena: make([]byte, 0, 16)}
	for _, secret := range []string{"hunter2-hunter2", `p@ss "w/rd" & <é> 'x'`, "first line\nsecond line\x01\x02\x03\x04", `{"a":"leaf-value-one"}`} {
		before := set.arena[:cap(set.arena)]
		set.addSecret([]byte(secret))
		if &before[:1][0] != &set.arena[:1][0] {
			left = append(left, before)
		}
	}
	if len(left) == 0 {
		t.Fatal("the list has not grown: the test proves nothing")
	}
	for i, memory := range left {
		if !bytes.Equal(memory, make([]byte, len(memory))) {
			t.Errorf("memory %d of %d bytes was left unwiped", i, len(memory))
		}
	}
}

// TestFormsFitTheirRoom: no form is longer than the room that is made for it,
// so that the list does not grow automatically.
func TestFormsFitTheirRoom(t *testing.T) {
	for _, value := range []string{"plain", "\x01\x02\x03\x04\x05", "\"\"\"\"\"\"", "é'\"\\/é'\"\\/", "😀😀\u2028\u2029", "\xff\xfe\xfd\xfc", "''''''''", "\x7f\x7f\x7f\x7f"} {
		for _, repeat := range []int{1, 40, 400} {
			var set formSet
			set.addEncodings(bytes.Repeat([]byte(value), repeat))
			for i := range set.len() {
				if len(set.at(i)) > set.capacity {
					t.Errorf("a form of %q, %d times, has %d bytes, the room %d", value, repeat, len(set.at(i)), set.capacity)
				}
			}
		}
	}
}
