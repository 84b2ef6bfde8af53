package redact

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

func maskInPieces(t testing.TB, m *Masker, text []byte, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := m.Writer(&out)
	for piece := range slices.Chunk(text, size) {
		if n, err := w.Write(piece); n != len(piece) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestUnion is the table of what masking means where occurrences meet.
func TestUnion(t *testing.T) {
	for _, test := range []struct {
		name       string
		secrets    []string
		text, want string
	}{
		{"none", nil, "text", "text"},
		{"one", []string{"hunter2"}, "a hunter2 b", "a [redacted] b"},
		{"overlap", []string{"abcdef", "defghi"}, "xabcdefghix", "x[redacted]x"},
		{"self-overlap", []string{"ababac"}, "abababac", "ab[redacted]"},
		{"overlaps itself", []string{"abcabc"}, "xabcabcabcabcx", "x[redacted]x"},
		{"run", []string{"aaaa"}, "baaaaaaab", "b[redacted]b"},
		{"inside another", []string{"core", "hardcore99"}, "core hardcore99 hardcore9", "[redacted] [redacted] hard[redacted]9"},
		{"long one fails late", []string{"core", "hardcore99"}, "hardcore9x", "hard[redacted]9x"},
		{"touching", []string{"left", "right"}, "-leftright-", "-[redacted]-"},
		{"twice touching", []string{"left"}, "leftleft left", "[redacted] [redacted]"},
		{"prefix of another", []string{"secret", "secret-long"}, "secret-lon secret-long", "[redacted]-lon [redacted]"},
		{"mask in the text", []string{"hunter2"}, "[redacted]", "[redacted]"},
		{"incomplete at the end", []string{"hunter2"}, "a hunter", "a hunter"},
		{"bytes of no text", []string{"\x00\xff\x00\xff"}, "\x00\x00\xff\x00\xff\xff", "\x00[redacted]\xff"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var values [][]byte
			for _, secret := range test.secrets {
				values = append(values, []byte(secret))
			}
			m := newMasker(values...)
			for size := 1; size <= len(test.text); size++ {
				if got := maskInPieces(t, m, []byte(test.text), size); string(got) != test.want {
					t.Errorf("in pieces of %d: got %q, want %q", size, got, test.want)
				}
			}
			if got := m.String(test.text); got != test.want {
				t.Errorf("String: got %q, want %q", got, test.want)
			}
		})
	}
}

// TestShownAtOnce follows a stream write by write: the text that is out after each.
func TestShownAtOnce(t *testing.T) {
	var out bytes.Buffer
	w := newMasker([]byte("hunter2"), []byte("first line\nsecond line")).Writer(&out)
	for i, step := range []struct{ write, out string }{
		{"Password: ", "Password: "},
		{".", "."},
		{".", "."},
		{"50%\r", "50%\r"},
		{"hu", ""},
		{"nt", ""},
		{"ing", "hunting"},
		{" hunter", " "},
		{"2", "[redacted]"},
		{"hunter2", ""}, // touches the one before
		{".\n", ".\n"},
		{"first line", "[redacted]"},
		{"\n", ""},
		{"\n\n\n", "\n\n\n\n"}, // blanks after a line of a secret are not held
		{"first line\n", ""},   // a secret may go on in the next line
		{"second line", "[redacted]"},
		{"!", "!"},
	} {
		out.Reset()
		if _, err := w.Write([]byte(step.write)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil { // which must not release anything
			t.Fatal(err)
		}
		if out.String() != step.out {
			t.Fatalf("step %d: after %q got %q, want %q", i, step.write, out.String(), step.out)
		}
	}
}

// TestSearchModes switches between filter and automaton at random, with
// longer secrets and texts than the general property test has time for.
func TestSearchModes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		alphabet := rapid.SampledFrom([]string{"ab", "abcdefgh", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}).Draw(t, "alphabet")
		random := func(n int) []byte {
			text := make([]byte, n)
			for i := range text {
				text[i] = alphabet[rng.IntN(len(alphabet))]
			}
			return text
		}
		prefix := random(rng.IntN(40))
		var values [][]byte
		for range 1 + rng.IntN(16) {
			value := random(4 + rng.IntN(50))
			if rng.IntN(2) == 0 {
				value = append(slices.Clone(prefix), value...)
			}
			values = append(values, value)
		}
		forms := allForms(values)
		var text []byte
		for range rng.IntN(25) {
			form := forms[rng.IntN(len(forms))]
			text = append(text, form[rng.IntN(2)*rng.IntN(len(form)):len(form)-rng.IntN(2)*rng.IntN(2)]...)
			text = append(text, random(rng.IntN(20)*rng.IntN(2))...)
		}
		m := newLiteral(values...)
		m.block = max(4*m.patterns.longest, rng.IntN(2000))
		var out bytes.Buffer
		w := m.Writer(&out)
		for rest := text; len(rest) > 0; {
			n := 1 + rng.IntN(min(len(rest), 1+rng.IntN(300)))
			switch rng.IntN(12) {
			case 0:
				w.budget = -1 << 20 // gives up at the next write
			case 1:
				w.reading = min(w.reading, 1+rng.IntN(n)) // ends within it
			}
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want := reference(forms, text); !bytes.Equal(out.Bytes(), want) {
			t.Fatalf("secrets %q\ntext %q\n got %q\nwant %q", values, text, out.Bytes(), want)
		}
		if want, got := reference(forms, text), m.Bytes(text); !bytes.Equal(got, want) {
			t.Fatalf("secrets %q\ntext %q\n got %q\nwant %q", values, text, got, want)
		}
	})
}

// TestLargeWrites crosses the ends of blocks and of the joins behind held
// text: everything is compared with the automaton, run over the whole.
func TestLargeWrites(t *testing.T) {
	for _, load := range redacttest.Workloads(1 << 18) {
		m := newMasker(load.Secrets...)
		var found spans
		m.automaton().run(0, load.Text, 0, &found)
		var want []byte
		at := 0
		for _, f := range found {
			want = append(append(want, load.Text[at:f.start]...), Mask...)
			at = f.end
		}
		want = append(want, load.Text[at:]...)
		for _, size := range []int{119, 4096, 8192, 8193, 100_000, len(load.Text)} {
			if got := maskInPieces(t, m, load.Text, size); !bytes.Equal(got, want) {
				t.Errorf("%s in pieces of %d differs from the automaton", load.Name, size)
			}
		}
		if !bytes.Equal(m.Bytes(load.Text), want) {
			t.Errorf("%s: Bytes differs from the automaton", load.Name)
		}
	}
}

// TestSparseAutomaton covers the automaton that has no table of transitions.
func TestSparseAutomaton(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	m := New(tokens(rng, 1000, 20))
	a := m.automaton()
	a.makeTable()
	if a.dense != nil {
		t.Fatal("a thousand secrets are expected to be too many for the table")
	}
	small := newMasker([]byte("ababac"), []byte("aaaa"), []byte("bacab"))
	table, sparse := small.automaton(), newAutomaton(small.patterns)
	table.makeTable()
	sparse.table.Do(func() { sparse.made.Store(true) }) // it stays without one
	text := []byte(strings.Repeat("abababacaaaaabacabab", 100))
	var want, got spans
	if table.run(0, text, 0, &want) != sparse.run(0, text, 0, &got) || !slices.Equal(want, got) {
		t.Error("the automaton differs from itself without the table")
	}
	later := newAutomaton(small.patterns) // the table is made between two pieces
	got = got[:0]
	state := uint32(0)
	for i, c := range text {
		state = later.run(state, []byte{c}, i, &got)
	}
	if later.dense == nil || !slices.Equal(want, got) {
		t.Errorf("the automaton that makes its table within a text finds %d ranges, want %d", len(got), len(want))
	}
}

// TestThousandSecrets masks each of a thousand secrets and nothing else.
func TestThousandSecrets(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	secrets := tokens(rng, 1000, 16)
	m := New(secrets)
	var text, want bytes.Buffer
	for _, secret := range secrets {
		text.WriteString("key is " + string(secret.Value) + ", near it " + string(secret.Value[:15]) + ".\n")
		want.WriteString("key is [redacted], near it " + string(secret.Value[:15]) + ".\n")
	}
	for _, size := range []int{1, 120, 4096} {
		if got := maskInPieces(t, m, text.Bytes(), size); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("in pieces of %d: wrong", size)
		}
	}
}

// TestMemoryIsBounded sends what makes a masker hold back as much as it can.
func TestMemoryIsBounded(t *testing.T) {
	secret := []byte("header\n" + strings.Repeat(" ", 100) + "tail-line")
	m := newMasker(secret, bytes.Repeat([]byte("a"), 500))
	for _, text := range []string{"header\n" + strings.Repeat(" ", 4000), strings.Repeat("a", 4000), strings.Repeat("header\n", 600)} {
		for _, size := range []int{1, 7, 4000} {
			w := m.Writer(io.Discard)
			for range 60 {
				for piece := range slices.Chunk([]byte(text), size) {
					if _, err := w.Write(piece); err != nil {
						t.Fatal(err)
					}
					if held := len(w.held) - w.head; held >= m.patterns.longest {
						t.Fatalf("%d bytes held, the longest pattern has %d", held, m.patterns.longest)
					}
				}
			}
			if limit := 4 * (m.block + m.patterns.longest); cap(w.held)+cap(w.masked)+16*cap(w.found) > 3*limit {
				t.Errorf("buffers of %d, %d bytes and %d ranges", cap(w.held), cap(w.masked), cap(w.found))
			}
		}
	}
}

func TestKeptMemory(t *testing.T) {
	secrets := tokens(rand.New(rand.NewPCG(3, 4)), 10, 20)
	maskers := make([]*Masker, 200)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range maskers {
		maskers[i] = New(secrets)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	kept := (after.HeapAlloc - before.HeapAlloc) / uint64(len(maskers))
	runtime.KeepAlive(maskers)
	t.Logf("%d bytes kept for 10 secrets in %d patterns", kept, maskers[0].patterns.len())
	if kept > 64<<10 {
		t.Errorf("a masker of 10 secrets keeps %d bytes, more than 64 KiB", kept)
	}
}

// TestConcurrentStreams runs many streams of one masker, some of which need
// the automaton at the same time. Run it with the race detector.
func TestConcurrentStreams(t *testing.T) {
	loads := redacttest.Workloads(100_000)
	var wait sync.WaitGroup
	for _, load := range loads {
		m := newMasker(load.Secrets...)
		want := maskInPieces(t, newMasker(load.Secrets...), load.Text, 4096)
		for size := range 4 {
			wait.Go(func() {
				if got := maskInPieces(t, m, load.Text, 500+size); !bytes.Equal(got, want) {
					t.Errorf("%s: streams disturb each other", load.Name)
				}
				if !bytes.Equal(m.Bytes(load.Text), want) {
					t.Errorf("%s: Bytes is disturbed by streams", load.Name)
				}
				if got, err := io.ReadAll(m.Reader(bytes.NewReader(load.Text))); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: a Reader is disturbed by streams: %v", load.Name, err)
				}
			})
		}
	}
	wait.Wait()
}

func TestReset(t *testing.T) {
	var first, second bytes.Buffer
	w := newMasker([]byte("hunter2")).Writer(&first)
	_, _ = io.WriteString(w, "a hunter")
	w.Reset(&second)
	_, _ = io.WriteString(w, "2 b")
	if err := w.Close(); err != nil || first.String() != "a " || second.String() != "2 b" {
		t.Errorf("got %q and %q, %v", first.String(), second.String(), err)
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestErrors(t *testing.T) {
	m := newMasker([]byte("hunter2"))
	w := m.Writer(&failing{after: 3})
	_, first := w.Write([]byte("abcd"))
	_, second := w.Write([]byte("e"))
	for _, err := range []error{first, second, w.Flush(), w.Close()} {
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v, want that of the underlying writer", err)
		}
	}
	read, err := io.ReadAll(m.Reader(io.MultiReader(strings.NewReader("a hunter2 hunt"), iotest.ErrReader(io.ErrNoProgress))))
	if string(read) != "a [redacted] hunt" || !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Reader: %q, %v", read, err)
	}
	if err := iotest.TestReader(m.Reader(iotest.OneByteReader(strings.NewReader("a hunter2 b hunter"))), []byte("a [redacted] b hunter")); err != nil {
		t.Error(err)
	}
}

func TestClear(t *testing.T) {
	m := newMasker([]byte("hunter2-hunter2"))
	w := m.Writer(io.Discard)
	m.automaton()
	m.Clear()
	if _, err := w.Write([]byte("x")); !errors.Is(err, ErrCleared) {
		t.Errorf("Write after Clear: %v", err)
	}
	if got := m.String("any text"); got != Mask || !m.Contains(nil) {
		t.Errorf("a cleared masker lets %q through", got)
	}
	if bytes.Contains(m.patterns.text, []byte("hunter")) {
		t.Error("the secret is still in memory")
	}
}
