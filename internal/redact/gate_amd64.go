package redact

import "golang.org/x/sys/cpu"

var (
	hasVBMI = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VBMI && cpu.X86.HasBMI2
	hasAVX2 = cpu.X86.HasAVX2 && cpu.X86.HasBMI2
)

//go:noescape
func gateVBMI(text *byte, blocks int, into *gate, t *classTable)

//go:noescape
func gateAVX2(text *byte, blocks int, into *gate, t *classTable)

//go:noescape
func openLines(text *byte, lines *uint16, n int, specials, four *uint64, shift uint64, flags *[256]uint8, into *uint16) int

//go:noescape
func threes(set *uint64, words int) uint64

//go:noescape
func decodeVBMI(dst, digits *byte, blocks int, values *[128]byte, order *[64]byte)

//go:noescape
func digitsVBMI(text *byte, windows int, out *digitWindow, classes *[128]byte)

//go:noescape
func digitsLengthVBMI(text *byte, n int, classes *[128]byte) int

//go:noescape
func sample(text *byte, at, last, stride int, bitmap *uint64, words, mask uint64) int

// look looks at so many blocks of text.
func (g *gate) look(text []byte, blocks int, t *classTable) {
	_, _ = text[blocks*blockSpan-1], g.specials[blocks+1]
	switch {
	case hasVBMI:
		gateVBMI(&text[0], blocks, g, t)
	case hasAVX2:
		gateAVX2(&text[0], blocks, g, t)
	default:
		g.generic(text, blocks, t)
	}
	g.specials[blocks+1] = 0
}

// digitWindows looks for digits that may stand for text.
func digitWindows(text []byte, windows int, out []digitWindow) {
	_, _ = text[(windows-1)*digitStep+blockSpan-1], out[windows-1]
	if !hasVBMI {
		digitsGeneric(text, windows, out)
		return
	}
	digitsVBMI(&text[0], windows, &out[0], &byteClasses)
}

// digitsLength is how many digits of base64 stand at the beginning of text.
func digitsLength(text []byte) int {
	if !hasVBMI || len(text) < minJoined {
		return digitsLengthGeneric(text)
	}
	return digitsLengthVBMI(&text[0], len(text), &byteClasses)
}

// skip returns the first of the samples from at on that is known, or else the
// first of the last few samples, which are fewer than four.
//
// This loop is what a text without secrets costs.
func (f *filter) skip(text []byte, at int) int {
	last := len(text) - 3*f.stride - 8
	if at > last {
		return at
	}
	_ = text[at]
	return sample(&text[0], at, last, f.stride, &f.bitmap[0], f.words, f.mask)
}

// closeLines drops those line ends in text behind which no pattern goes on, as
// far as that is easy to tell: not all, and none near the ends of text.
func (g *gate) closeLines(text []byte, m *grams) {
	first, last := 0, g.ends
	for first < last && g.lines[first] < nearSeam {
		first++
	}
	for last > first && int(g.lines[last-1]) > len(text)-nearSeam {
		last--
	}
	if first == last || !hasAVX2 {
		return
	}
	specials := &g.specials[0]
	if g.special == 0 && g.specials[0] == 0 {
		specials = nil
	}
	n := openLines(&text[0], &g.lines[first], last-first, specials, &m.four[0], uint64(m.shift), &lineFlags, &g.lines[first])
	g.ends = first + n + copy(g.lines[first+n:], g.lines[last:g.ends])
}

// threesOf has a bit for each of some words of a set in which three that follow
// each other begin.
func threesOf(set []uint64, words int) uint64 {
	if !hasVBMI || (words+7)/8*8 >= len(set) {
		return threesGeneric(set, words)
	}
	return threes(&set[0], words) & (1<<words - 1)
}

// base64Order is where the bytes of numbers of 24 bits stand, highest first.
var base64Order = func() (order [64]byte) {
	for i := range 48 {
		order[i] = byte(i/3*4 + 2 - i%3)
	}
	return order
}()

// decodeBlocks decodes blocks of 64 digits of base64 to dst, which has room for
// 48 bytes each and 16 more, and returns how many blocks it did.
func decodeBlocks(dst, digits []byte) int {
	blocks := min((len(dst)-16)/48, len(digits)/64)
	if !hasVBMI || blocks <= 0 {
		return 0
	}
	decodeVBMI(&dst[0], &digits[0], blocks, (*[128]byte)(digitValue[:128]), &base64Order)
	return blocks
}
