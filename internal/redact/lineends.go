package redact

import "bytes"

// bareFlags has 1 for bytes that are no margin at the end of a line, 2 for
// those at its beginning.
var bareFlags = func() (flags [256]uint8) {
	for c := byte('!'); c < 0x7f; c++ {
		if bytes.IndexByte([]byte(`|\=%&`), c) < 0 {
			flags[c] |= 1
		}
		if bytes.IndexByte([]byte(`|\=%&>#"'`), c) < 0 {
			flags[c] |= 2
		}
	}
	return flags
}()

// nearSeam is how near to the ends of a text a line end is looked at closely.
const nearSeam = 32

// lineFlags has 1 for bytes that are a margin at the end of a line. It has 2 for
// those at its beginning, and for letters that may stand before a quote. It has 8
// for bytes of pairs of hexadecimal digits, and 16 for bytes of no word.
var lineFlags = func() (flags [256]uint8) {
	for i := range flags {
		flags[i] = ^bareFlags[i] & 3
		if byteClasses[min(i, 0x7f)]&noPair == 0 {
			flags[i] |= 8
		}
		if !isAlphanumeric(byte(i)) {
			flags[i] |= 16
		}
	}
	for _, c := range []byte("bBrRfFuU") {
		flags[c] |= 2
	}
	return flags
}()
