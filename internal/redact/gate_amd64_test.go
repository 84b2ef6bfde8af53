package redact

import (
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
	for _, alphabet := range []string{"ab 0\n", "abcdefghijklmnop \x00%&\n\\=\xff\x80\x21\x20\x1f\x7f0178/", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa ", "61 62:"} {
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
				if digitWindows(text, blocks, digits); !slices.Equal(digits, wantDigits) {
					t.Fatalf("digitWindows(%q)\n got %v\nwant %v", text, digits, wantDigits)
				}
			}
		}
	}
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
