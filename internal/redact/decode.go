package redact

import "encoding/binary"

// isHexSpace reports whether two digits are those of a line end or a tab.
func isHexSpace(a, b byte) bool { return a == '0' && (b == '9' || b|0x20 == 'a' || b|0x20 == 'd') }

func looksLikeHexText(digits []byte) bool {
	alike := 0
	for ; len(digits) >= 2; digits = digits[2:] {
		if digitFlags[digits[1]]&isHex != 0 && (digitFlags[digits[0]]&hexHigh != 0 || isHexSpace(digits[0], digits[1])) {
			if alike++; alike == 6 {
				return true
			}
			continue
		}
		alike = 0
	}
	return false
}

// quad has what a digit of base64 contributes to the three bytes of four digits,
// by its place, as the low bytes of a number.
var quad = func() (table [4][256]uint32) {
	for c, value := range digitValue {
		value := uint32(value)
		table[0][c] = value << 2
		table[1][c] = value>>4 | value&15<<12
		table[2][c] = value>>2<<8 | value&3<<22
		table[3][c] = value << 16
	}
	return table
}()

// appendBase64 appends the whole bytes that digits of base64 stand for to dst.
func appendBase64(dst, digits []byte) []byte {
	at := len(dst)
	n := 0
	if len(digits) < 2*blockSpan {
		dst = grow(dst, len(digits)/4*3+1)
	} else {
		dst = grow(dst, len(digits)/4*3+20)
		n = decodeBlocks(dst[at:], digits)
		digits, n = digits[blockSpan*n:], blockSpan/4*3*n
	}
	out := dst[at+n:]
	for len(digits) >= 4 && len(out) >= 4 {
		binary.LittleEndian.PutUint32(out, quad[0][digits[0]]|quad[1][digits[1]]|quad[2][digits[2]]|quad[3][digits[3]])
		digits, out = digits[4:], out[3:]
		n += 3
	}
	dst = dst[:at+n]
	if len(digits) >= 2 {
		dst = append(dst, digitValue[digits[0]]<<2|digitValue[digits[1]]>>4)
	}
	if len(digits) == 3 {
		dst = append(dst, digitValue[digits[1]]<<4|digitValue[digits[2]]>>2)
	}
	return dst
}

// grow makes b longer by n bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		return moved(b, 2*cap(b)+n)[:len(b)+n]
	}
	return b[:len(b)+n]
}
