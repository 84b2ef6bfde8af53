//go:build !amd64

package redact

import "encoding/binary"

// look looks at so many blocks of text.
func (g *gate) look(text []byte, blocks int, t *classTable) { g.generic(text, blocks, t) }

// digitWindows looks for digits that may stand for text.
func digitWindows(text []byte, windows int, out []digitWindow) { digitsGeneric(text, windows, out) }

// skip returns the first of the samples from at on that is known, or else the
// first of the last few samples, which are fewer than four.
func (f *filter) skip(text []byte, at int) int {
	stride, bitmap, mask, words := f.stride, f.bitmap, f.mask, f.words
	for last := len(text) - 3*stride - 8; at <= last; at += 4 * stride {
		i, j, k := at+stride, at+2*stride, at+3*stride
		// The third index spares the compiler a guard for empty slices.
		a := binary.LittleEndian.Uint64(text[at:at+8:at+8]) & mask * hashMultiplier
		b := binary.LittleEndian.Uint64(text[i:i+8:i+8]) & mask * hashMultiplier
		c := binary.LittleEndian.Uint64(text[j:j+8:j+8]) & mask * hashMultiplier
		d := binary.LittleEndian.Uint64(text[k:k+8:k+8]) & mask * hashMultiplier
		switch {
		case bitmap[a>>32&words]&(1<<(a>>58)) != 0:
			return at
		case bitmap[b>>32&words]&(1<<(b>>58)) != 0:
			return i
		case bitmap[c>>32&words]&(1<<(c>>58)) != 0:
			return j
		case bitmap[d>>32&words]&(1<<(d>>58)) != 0:
			return k
		}
	}
	return at
}

// closeLines drops those line ends in text behind which no pattern goes on, as
// far unchanged easy to tell.
func (g *gate) closeLines(text []byte, m *grams) {}

// threesOf has a bit for each of some words of a set in which three that follow
// each other begin.
func threesOf(set []uint64, words int) uint64 { return threesGeneric(set, words) }

// decodeBlocks decodes blocks of digits of base64, where that is faster.
func decodeBlocks(dst, digits []byte) int { return 0 }

func digitsLength(text []byte) int { return digitsLengthGeneric(text) }
