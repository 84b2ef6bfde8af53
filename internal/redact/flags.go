package redact

// Flags of bytes for a set of forms.
const (
	inForm  = 1 << iota // stands in a form
	leading             // may be a byte of an escape
	asDigit             // is a digit of base64, but no letter or number
	margin              // stands before and behind line ends
	between             // stands between pairs of hexadecimal digits
	plain               // may be a part of a form where it is decoded from digits
)

// newByteFlags returns the flags of all bytes.
func newByteFlags(g *grams) (flags [256]uint8) {
	for i := range flags {
		if c := byte(i); g.bytes.has(c) {
			flags[i] |= inForm | plain
		} else if isAlphanumeric(c) {
			flags[i] |= asDigit
		}
	}
	for _, c := range []byte("%\\&=#;{}\x00\x1b") {
		flags[c] |= leading
	}
	for _, c := range []byte("+/-_") {
		flags[c] |= asDigit
	}
	for _, c := range []byte(pairMarks) {
		flags[c] |= between
	}
	for _, c := range []byte(" \t|'\",+>\r\n\\=\xe2") {
		flags[c] |= margin
	}
	for c := byte(' '); c < 0x7f; c++ {
		flags[c] |= plain
	}
	for _, c := range []byte("\t\r\n\x00") {
		flags[c] |= plain
	}
	return flags
}
