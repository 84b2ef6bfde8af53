package redact

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestGate: the blocks that vectors of the processor find are those of plain Go.
func TestGate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	table := newClassTable(func(c byte) bool { return c == '@' })
	vectors := []bool{hasVBMI, false}
	defer func(vbmi bool) { hasVBMI = vbmi }(hasVBMI)
	for _, alphabet := range []string{"ab 0\n", "abcdefghijklmnop \x00%&\n\\=\xff\x80\x21\x20\x1f\x7f0178/", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa ", "61 62:", "ab0189+/-_"} {
		for range 200 {
			blocks := 1 + rng.IntN(20)
			text := make([]byte, blocks*blockSpan)
			for i := range text {
				text[i] = alphabet[rng.IntN(len(alphabet))]
				if rng.IntN(3) == 0 {
					text[i] = "abcdefgh01234567QmZ4"[rng.IntN(20)]
				}
			}
			var want gate
			wantDigits := make([]digitWindow, blocks)
			want.generic(text, blocks, &table)
			digitsGeneric(text, blocks, wantDigits)
			for _, hasVBMI = range vectors {
				var got gate
				digits := make([]digitWindow, blocks)
				got.look(text, blocks, &table)
				if !slices.Equal(got.lines[:got.ends], want.lines[:want.ends]) || got.runs != want.runs || got.pairs != want.pairs ||
					!slices.Equal(got.specials[1:blocks+2], want.specials[1:blocks+2]) || got.special == 0 != (want.special == 0) {
					t.Fatalf("look at %q, AVX-512 %v\n got %v, %v\nwant %v, %v", text, hasVBMI,
						got.specials, got.runs, want.specials, want.runs)
				}
				for range 4 {
					at := rng.IntN(len(text))
					part := text[at : at+rng.IntN(len(text)-at+1)]
					if got, want := digitsLength(part), digitsLengthGeneric(part); got != want {
						t.Fatalf("digitsLength(%q) = %d, want %d", part, got, want)
					}
				}
				if digitWindows(text, blocks, digits); !slices.Equal(digits, wantDigits) {
					t.Fatalf("digitWindows(%q)\n got %v\nwant %v", text, digits, wantDigits)
				}
			}
		}
	}
}

// TestCloseLines: the line ends that vectors of the processor drop are those of plain Go.
func TestCloseLines(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	secret := "aab ba:01a 1bab0"
	m := New([]Secret{{Value: []byte(secret)}})
	dropped := 0
	for range 2000 {
		text := make([]byte, 4*blockSpan)
		for i := range text {
			if text[i] = "ab01 :"[rng.IntN(6)]; rng.IntN(12) == 0 {
				text[i] = "\n\n\n%'"[rng.IntN(5)]
			}
		}
		at := rng.IntN(len(text) - len(secret))
		copy(text[at+copy(text[at:], secret[:rng.IntN(len(secret))]):], "\n"+secret[rng.IntN(len(secret)):])
		var g gate
		g.look(text, 4, &m.classes)
		var want []uint16
		for _, line := range g.lines[:g.ends] {
			if i := int(line); i < nearSeam || i > len(text)-nearSeam || opensLine(m, text, i) {
				want = append(want, line)
			}
		}
		dropped += g.ends - len(want)
		if g.closeLines(text, m.grams); hasAVX2 && !slices.Equal(g.lines[:g.ends], want) {
			t.Fatalf("closeLines(%q)\n got %v\nwant %v", text, g.lines[:g.ends], want)
		}
	}
	if dropped < 1000 {
		t.Errorf("closeLines of 2,000 texts dropped %d line ends, want 1,000 and more", dropped)
	}
}

// opensLine is openLines for one line end, in plain Go.
func opensLine(m *Masker, text []byte, i int) bool {
	left := i
	if text[i-1] == ' ' {
		left--
	}
	before, flags := text[:left], lineFlags[text[left-1]]
	for _, c := range text[i-nearLine : i+nearLine+1] {
		if byteClasses[min(c, 0x7f)]&isSpecial != 0 {
			return true
		}
	}
	return flags&1 != 0 || lineFlags[text[i+1]]&2 != 0 || !bytes.ContainsRune(before[left-16:], ' ') ||
		flags&8 != 0 && bytes.ContainsRune(before[left-5:left-1], ' ') || m.grams.cross(before, text[i+1:])
}

func BenchmarkGate(b *testing.B) {
	text := make([]byte, 4096)
	for i := range text {
		text[i] = "lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy eirmod\n"[i%80]
	}
	var g gate
	table := newClassTable(func(byte) bool { return false })
	b.SetBytes(4096)
	for b.Loop() {
		g.look(text, 64, &table)
	}
}
