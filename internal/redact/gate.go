package redact

// blockSpan is how much of a text the gate looks at in one piece, and
// gateBlocks how many such blocks at once.
const (
	blockSpan  = 64
	gateBlocks = 64
)

// A gate finds what of a text asks for a closer look. The first words of its
// sets are for the text before it.
type gate struct {
	specials [gateBlocks + 2]uint64         // a bit for each byte that begins an escape, and each NUL
	runs     [gateBlocks/4 + 9]uint64       // for each four bytes of a run
	pairs    [gateBlocks/8 + 9]uint64       // for each eight hexadecimal digits and separators
	lines    [gateBlocks * blockSpan]uint16 // line ends
	ends     int                            // how many there are
	special  int                            // whether there are special bytes
}

// next makes the findings in so many blocks that before the next ones.
func (g *gate) next(blocks int) {
	before, run, pair := uint64(0), uint64(0), uint64(0)
	if blocks > 0 {
		last := blocks - 1
		before = g.specials[blocks]
		run = g.runs[1+last/4] << (48 - 16*(last%4))
		pair = g.pairs[1+last/8] << (56 - 8*(last%8))
	}
	const lastTwo = 3 << 62 // three of which the third will come
	g.runs, g.pairs = [len(g.runs)]uint64{run & lastTwo}, [len(g.pairs)]uint64{pair & lastTwo}
	g.specials[0] = before
}

// threesGeneric is threes for any machine.
func threesGeneric(set []uint64, words int) (found uint64) {
	for i := range words {
		if three(set, i) != 0 {
			found |= 1 << i
		}
	}
	return found
}

// three has a bit where three of a set follow each other, from word i on.
func three(set []uint64, i int) uint64 {
	return set[i] & (set[i]>>1 | set[i+1]<<63) & (set[i]>>2 | set[i+1]<<62)
}

// Classes of a byte. Two are negated: a group in which no byte has them is one of
// runs or of pairs.
const (
	isSpecial   = 1 << 0
	noRun       = 1 << 1
	noPair      = 1 << 2
	asFirst     = 1 << 3 // the first of four digits of base64 that are ASCII text
	asSecond    = 1 << 4 // the second
	asThird     = 1 << 5 // the third
	isHex       = 1 << 6
	hexHigh     = 1 << 7 // the first of two hexadecimal digits that are ASCII text
	pairMarks   = " ,:;-._/|+xX\t"
	specialMark = "\x00\x1b%&\\="
)

// byteClasses are the classes of ASCII. Those of 0x7f stand for other bytes.
var byteClasses = func() (classes [128]byte) {
	for c := range classes {
		flags := digitFlags[c]
		class := flags & (asFirst | asSecond | asThird | isHex | hexHigh)
		if flags&isDigit == 0 {
			class |= noRun
		}
		class |= noPair
		if flags&isHex != 0 {
			class &^= noPair
		}
		classes[c] = class
	}
	for _, c := range []byte(pairMarks) {
		classes[c] &^= noPair
	}
	for _, c := range []byte(specialMark) {
		classes[c] |= isSpecial
	}
	return classes
}()

// A classTable has the classes of ASCII, also by halves of bytes: each high half
// has a bit, and each low half the bits of those with which it is in a set.
// Classes of 0x7f stand for all bytes beyond ASCII.
type classTable struct {
	classes                     [128]byte
	high, specials, runs, pairs [16]byte
}

// newClassTable returns the classes with more bytes than digits in runs.
func newClassTable(inRun func(c byte) bool) (t classTable) {
	t.classes = byteClasses
	for i := range t.classes[:0x7f] {
		c := byte(i)
		if inRun(c) {
			t.classes[i] &^= noRun
		}
		class, high, low := t.classes[i], byte(1)<<(c>>4), c&15
		t.high[c>>4] = high
		if class&isSpecial != 0 {
			t.specials[low] |= high
		}
		if class&noRun == 0 {
			t.runs[low] |= high
		}
		if class&noPair == 0 {
			t.pairs[low] |= high
		}
	}
	return t
}

// generic is gate.look for any machine.
func (g *gate) generic(text []byte, blocks int, t *classTable) {
	g.ends, g.special = 0, 0
	for i := range blocks {
		var special, noRuns, noPairs uint64
		for j, c := range text[i*blockSpan:][:blockSpan] {
			class := t.classes[min(c, 0x7f)]
			special |= uint64(class&isSpecial) << j
			noRuns |= uint64(class>>1&1) << j
			noPairs |= uint64(class>>2&1) << j
			if c == '\n' {
				g.lines[g.ends] = uint16(i*blockSpan + j)
				g.ends++
			}
		}
		if g.specials[i+1] = special; special != 0 {
			g.special = 1
		}
		for j := range 16 {
			if noRuns>>(4*j)&0xf == 0 {
				g.runs[1+i/4] |= 1 << (i%4*16 + j)
			}
		}
		for j := range 8 {
			if noPairs>>(8*j)&0xff == 0 {
				g.pairs[1+i/8] |= 1 << (i%8*8 + j)
			}
		}
	}
	g.specials[blocks+1] = 0
}

// A digitWindow says where in blockSpan bytes four groups of four digits begin
// that are ASCII text, and six pairs of hexadecimal digits.
type digitWindow struct{ base64, hex uint64 }

// digitStep is how far from each other windows of digits begin: text of 16
// digits is in one of them.
const digitStep = blockSpan - minJoined

func digitsGeneric(text []byte, windows int, out []digitWindow) {
	for i := range windows {
		var classes [5]uint64
		digits := uint64(0)
		for j, c := range text[i*digitStep:][:blockSpan] {
			class := byteClasses[min(c, 0x7f)]
			if digitFlags[c]&isDigit != 0 {
				digits |= 1 << j
			}
			for k := range classes {
				classes[k] |= uint64(class>>(3+k)&1) << j
			}
		}
		text := classes[0] & (classes[1] >> 1) & (classes[2] >> 2) & (digits >> 3)
		text &= text >> 4
		text &= text >> 8
		pair := classes[4] & (classes[3] >> 1)
		two := pair & (pair >> 2)
		out[i] = digitWindow{text, two & (two >> 4) & (two >> 8)}
	}
}

// digitsLengthGeneric is digitsLength for any machine.
func digitsLengthGeneric(text []byte) int {
	n := 0
	for n+8 <= len(text) && flagsOf(text[n:])&(eachByte*isDigit) == eachByte*isDigit {
		n += 8
	}
	for n < len(text) && isDigitByte(text[n]) {
		n++
	}
	return n
}
