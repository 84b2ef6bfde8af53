package redact

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// oddReader reads a file in pieces of any size, as a file system may.
type oddReader struct {
	*bytes.Reader
	sizes *rand.Rand
}

func (r oddReader) Read(p []byte) (int, error) {
	return r.Reader.Read(p[:min(len(p), 1+r.sizes.IntN(40))])
}

// copied is what Copy writes.
func copied(m *Masker, file []byte, seed uint64) ([]byte, error) {
	var out bytes.Buffer
	err := m.Copy(&out, oddReader{bytes.NewReader(file), rand.New(rand.NewPCG(seed, 0))})
	return out.Bytes(), err
}

// Copy masks text as Bytes does, and copies anything else unchanged or not at
// all.
func TestCopyIsBytes(t *testing.T) {
	m := newMasker([]byte("hunter2"), []byte("pässwörd"), []byte("first line\nsecond line"))
	pieces := []string{
		"hunter2", "hunter", "2", "pässwörd", "päss", "wörd", "first line\n", "second line", "first line\r\nsecond line",
		"aHVudGVyMg==", "68756e74657232", "é", "\xc3", "\xa9", "€", "\xe2\x82", "😀", "\xf0\x9f\x98", "\x00", "\xff", " ", "\n", "plain text ",
		strings.Repeat("long ", 300),
	}
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "pieces"), ""))
		got, err := copied(m, text, rapid.Uint64().Draw(t, "seed"))
		isText := utf8.Valid(text) && !bytes.Contains(text, []byte{0})
		switch {
		case isText:
			if err != nil || !bytes.Equal(got, m.Bytes(text)) {
				t.Fatalf("%v\ngot  %q\nwant %q", err, got, m.Bytes(text))
			}
		case m.Contains(text):
			if !errors.Is(err, ErrWithheld) || len(got) > 0 {
				t.Fatalf("a binary file with a secret: %v, %d bytes were written", err, len(got))
			}
		default:
			if err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%v\ngot  %q\nwant %q", err, got, text)
			}
		}
	})
}

// A character or a secret that a block cuts in two is none the less whole.
func TestCopyAcrossBlocks(t *testing.T) {
	m := newMasker([]byte("pässwörd"))
	for _, test := range []struct {
		name, tail string
		text       bool
	}{
		{"two bytes", "é", true},
		{"three bytes", "€", true},
		{"four bytes", "😀", true},
		{"a secret", "pässwörd", true},
		{"cut off", "\xf0\x9f\x98", false},
		{"no character", "\xc3(", false},
		{"a NUL", "\x00", false},
		{"a secret after a NUL", "\x00pässwörd", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for before := copyBlock - 12; before <= copyBlock+1; before++ {
				for _, after := range []string{"", "tail"} {
					file := []byte(strings.Repeat("a", before) + test.tail + after)
					var out bytes.Buffer
					err := m.Copy(&out, bytes.NewReader(file))
					want := m.Bytes(file)
					if !test.text && m.Contains(file) {
						if !errors.Is(err, ErrWithheld) || out.Len() > 0 {
							t.Fatalf("%d before: %v, %d bytes", before, err, out.Len())
						}
						continue
					}
					if err != nil || !bytes.Equal(out.Bytes(), want) {
						t.Fatalf("%d before: %v, %d bytes, want %d", before, err, out.Len(), len(want))
					}
				}
			}
		})
	}
}

// endless is a large file that is nowhere.
type endless struct{ size, at int64 }

const line = "nothing to see on this line of the file, nor hunter or unter2\n"

func (e *endless) Read(p []byte) (int, error) {
	if e.at == e.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.size-e.at))
	for i := range p[:n] {
		p[i] = line[(e.at+int64(i))%int64(len(line))]
	}
	e.at += int64(n)
	return n, nil
}

func (e *endless) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.ErrUnsupported
	}
	e.at = 0
	return 0, nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// A large file is never in memory as a whole.
func TestCopyIsBounded(t *testing.T) {
	const size = 64 << 20
	m := newMasker([]byte("hunter2"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var written counter
	if err := m.Copy(&written, &endless{size: size}); err != nil || written != size {
		t.Fatalf("%v, %d bytes of %d", err, written, size)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated for a file of %d", grown, size)
	}
}

// Errors of the file and of its copy come through.
func TestCopyFails(t *testing.T) {
	m := newMasker([]byte("hunter2"))
	broken := errors.New("broken")
	for _, text := range []string{"text", "\x00binary"} {
		src := struct {
			io.Reader
			io.Seeker
		}{io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), &endless{}}
		if err := m.Copy(io.Discard, src); !errors.Is(err, broken) {
			t.Errorf("reading %q: %v", text, err)
		}
		r, w := io.Pipe()
		_ = r.CloseWithError(broken)
		if err := m.Copy(w, strings.NewReader(text)); !errors.Is(err, broken) {
			t.Errorf("writing %q: %v", text, err)
		}
	}
	unseekable := struct {
		io.Reader
		io.Seeker
	}{strings.NewReader("text"), failingSeeker{broken}}
	if err := m.Copy(io.Discard, unseekable); !errors.Is(err, broken) {
		t.Errorf("seeking: %v", err)
	}
}

type failingSeeker struct{ err error }

func (s failingSeeker) Seek(int64, int) (int64, error) { return 0, s.err }
