package redact

// isDigit is the flag of digits of base64. Others are those of classes of bytes.
const isDigit = 1

var digitFlags, digitValue = func() (flags, values [256]uint8) {
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_") {
		value := uint8(i)
		if i >= 64 {
			value -= 2
		}
		values[c], flags[c] = value, isDigit
		if value == 0 || 2 <= value && value < 32 {
			flags[c] |= asFirst
		}
		if low := value & 15; low == 0 || 2 <= low && low <= 7 {
			flags[c] |= asSecond
		}
		if value&3 <= 1 {
			flags[c] |= asThird
		}
		if h := hexValue[c]; h < 16 {
			flags[c] |= isHex
			if h == 0 || 2 <= h && h <= 7 { // a NUL is one of UTF-16
				flags[c] |= hexHigh
			}
		}
	}
	return flags, values
}()

// How many groups of four digits of base64, and pairs of hexadecimal digits, must
// stand for text, one behind the other, to be decoded: those of minJoined digits.
const (
	minGroups = minJoined / 4
	minTwos   = minJoined / 2
	minPairs  = 5
	minSpan   = 31 // of bytes, for pairs with separators
)

// A digitRun is a run of digits that is being read.
type digitRun struct {
	start  int // where the digits begin at the end of the surveyed text
	first  int // where the text begins in which no run is read yet
	at     int // digits that begin before it are read
	open   bool
	places [6]stretch // four alignments of base64, two of hexadecimal digits

	spanStart int // the same for pairs of digits and separators
	spanFirst int
	inSpan    bool
	pairs     stretch
}

// A stretch is a row of groups of digits that stand for text.
type stretch struct {
	at    int // the next group, or the rest of the run
	count int
	first int  // where the row begins
	end   int  // where the last group ends
	mask  int  // where a mask may begin, -1 if that is not known yet
	last  byte // what the last digits stand for
}

// group takes a group of digits that ends at a place and stands for text.
func (s *stretch) group(g *grams, start, end int, out []byte) {
	if s.count == 0 {
		s.first, s.mask = start, -1
	}
	for i, c := range out {
		if s.mask < 0 && (c == 0 || (s.count > 0 || i > 0) && g.begins(s.last, c)) { // NULs are those of UTF-16
			s.mask = end
		}
		s.last = c
	}
	s.count++
	s.end = end
}

// readRun reads the digits of a run up to a place, at which it may end.
func (v *view) readRun(r *digitRun, end int, ended, final bool) {
	if v.c.m.ascii {
		v.readWindows(r, end, ended, final)
		return
	}
	for i := range r.places {
		if i < 4 {
			v.readBase64(&r.places[i], viewBase64+viewKind(i), end, ended, final)
		} else {
			v.readHex(&r.places[i], viewHex+viewKind(i-4), end, ended, final)
		}
	}
}

// startRun begins to read a run of digits. Groups stand at multiples of their
// length in the content.
func (r *digitRun) startRun(at int, ascii bool) {
	if r.open, r.at = true, at; ascii {
		return
	}
	for i := range r.places {
		shift, length := i, 4
		if i >= 4 {
			shift, length = i-4, 2
		}
		r.places[i] = stretch{at: at + ((shift-at)%length+length)%length}
	}
}

func (v *view) readBase64(s *stretch, kind viewKind, end int, ended, final bool) {
	m := v.c.m
	k := v.kids[kind]
	var out [3]byte
	for ; s.at+4 <= end; s.at += 4 {
		decodeGroup(&out, v.text[s.at-v.base:])
		if m.byteFlags[out[0]]&m.byteFlags[out[1]]&m.byteFlags[out[2]]&plain == 0 {
			s.count = 0
			k.sleep()
			continue
		}
		if k != nil && k.awake {
			k.digits(s.at, 4, out[:])
			continue
		}
		if s.group(m.grams, s.at, s.at+4, out[:]); s.count == minGroups {
			s.first = v.orderMark(s.first)
			k = v.wakeDigits(kind, s, s.at+4, 6)
			for at := s.first; at <= s.at; at += 4 {
				decodeGroup(&out, v.text[at-v.base:])
				k.digits(at, 4, out[:])
			}
		}
	}
	if k == nil || !k.awake {
		return
	}
	if !ended {
		if !final && s.at < end {
			v.holdFrom(s.at)
		}
		return
	}
	if rest := v.text[s.at-v.base : end-v.base]; len(rest) >= 2 {
		var tail [4]byte
		copy(tail[:], rest)
		for i := len(rest); i < 4; i++ {
			tail[i] = 'A'
		}
		decodeGroup(&out, tail[:])
		k.digits(s.at, len(rest), out[:len(rest)-1])
	}
	k.sleep()
}

func decodeGroup(out *[3]byte, digits []byte) {
	bits := quad[0][digits[0]] | quad[1][digits[1]] | quad[2][digits[2]] | quad[3][digits[3]]
	out[0], out[1], out[2] = byte(bits), byte(bits>>8), byte(bits>>16)
}

func (v *view) readHex(s *stretch, kind viewKind, end int, ended, final bool) {
	m := v.c.m
	k := v.kids[kind]
	var out [1]byte
	for ; s.at+2 <= end; s.at += 2 {
		high, low := hexValue[v.text[s.at-v.base]], hexValue[v.text[s.at+1-v.base]]
		out[0] = high<<4 | low
		if high|low > 15 || m.byteFlags[out[0]]&plain == 0 {
			s.count = 0
			k.sleep()
			continue
		}
		if k != nil && k.awake {
			k.digits(s.at, 2, out[:])
			continue
		}
		if s.group(m.grams, s.at, s.at+2, out[:]); s.count == minTwos {
			k = v.wakeDigits(kind, s, s.at+2, 4)
			for at := s.first; at <= s.at; at += 2 {
				out[0] = hexValue[v.text[at-v.base]]<<4 | hexValue[v.text[at+1-v.base]]
				k.digits(at, 2, out[:])
			}
		}
	}
	if k == nil || !k.awake {
		return
	}
	if ended {
		k.sleep()
	} else if !final && s.at < end {
		v.holdFrom(s.at)
	}
}

// wakeDigits begins to decode a row of digits of so many bits each.
func (v *view) wakeDigits(kind viewKind, s *stretch, end int, bits uint8) *view {
	k := v.kid(kind)
	k.awake, k.at = true, s.first
	v.c.work += workWake
	if s.mask < 0 {
		s.mask = end
	}
	k.steps = append(k.steps, step{out: k.end(), src: s.first, size: int32(s.mask - s.first), width: bits})
	return k
}

// digits appends what digits at a place stand for.
func (v *view) digits(at, length int, out []byte) {
	v.news = true
	v.text = append(v.text, out...)
	v.at = at + length
	v.c.work += len(out)
}

// holdDigits holds the stream where digits at the end of the content may begin to
// stand for a form, of which there are too few to be decoded.
func (v *view) holdDigits() {
	const most = minJoined + 2
	at := max(v.run.start, v.end()-most)
	if v.end()-at < 4 {
		return
	}
	m := v.c.m
	var out [3]byte
	var decoded [most]byte
	for i := range 6 {
		kind, length := viewBase64+viewKind(i), 4
		if i >= 4 {
			length = 2
		}
		if k := v.kids[kind]; k != nil && k.awake {
			continue
		}
		var s stretch
		text := decoded[:0]
		for from := at + ((i-at)%length+length)%length; from+length <= v.end(); from += length {
			n := m.decode(&out, v.text[from-v.base:], length)
			if n == 0 {
				s.count = 0
				continue
			}
			if s.count == 0 {
				text = text[:0]
			}
			text = append(text, out[:n]...)
			s.group(m.grams, from, from+length, out[:n])
			if length == 2 && m.ascii && s.count == minHits && s.mask < 0 {
				s.mask = from + length
			}
		}
		if s.count > 0 && s.mask >= 0 && (!v.kind.isJoin() || length == 2 || hasEscape(text) || v.c.begun(text) > 2) {
			v.holdFrom(s.mask)
		}
	}
}

// decode decodes four digits of base64 or two hexadecimal ones, and returns how
// many bytes they stand for, or 0 if these are no text.
func (m *Masker) decode(out *[3]byte, digits []byte, length int) int {
	if length == 2 {
		high, low := hexValue[digits[0]], hexValue[digits[1]]
		if out[0] = high<<4 | low; high|low > 15 || m.byteFlags[out[0]]&plain == 0 {
			return 0
		}
		return 1
	}
	decodeGroup(out, digits)
	if m.ascii {
		if digitFlags[digits[0]]&asFirst == 0 || digitFlags[digits[1]]&asSecond == 0 || digitFlags[digits[2]]&asThird == 0 {
			return 0
		}
		return 3
	}
	if m.byteFlags[out[0]]&m.byteFlags[out[1]]&m.byteFlags[out[2]]&plain == 0 {
		return 0
	}
	return 3
}

// holdPairs is holdDigits for pairs with separators between them.
func (v *view) holdPairs(s *stretch) {
	if k := v.kids[viewPairs]; (k == nil || !k.awake) && s.count > 0 && s.mask >= 0 {
		v.holdFrom(s.mask)
	}
}

// maxSeparator is the length of the longest separator: ", 0x".
const maxSeparator = 6

// readPairs reads pairs of hexadecimal digits that have separators between
// them, up to a place, at which they may end.
func (v *view) readPairs(s *stretch, end int, ended, final bool) {
	k := v.kids[viewPairs]
	text := v.text[:end-v.base]
	for s.at < end {
		i := s.at - v.base
		if !ended && i+3 > len(text) {
			break
		}
		if i+2 > len(text) || !isPair(text, i) {
			s.at++
			if endsPairs(text, i) || s.at-s.end > maxSeparator {
				s.count = 0
				k.sleep()
			}
			continue
		}
		out := [1]byte{hexValue[text[i]]<<4 | hexValue[text[i+1]]}
		start := s.at
		s.at += 2
		if v.c.m.byteFlags[out[0]]&plain == 0 {
			s.count = 0
			k.sleep()
			continue
		}
		if k != nil && k.awake {
			k.pair(start, out[0])
			s.end = s.at
			continue
		}
		if s.group(v.c.m.grams, start, s.at, out[:]); s.count >= minPairs && s.at-s.first >= minSpan {
			k = v.wakePairs(s, text)
		}
	}
	if k == nil || !k.awake {
		return
	}
	if ended {
		k.sleep()
	} else if !final && s.at < end {
		v.holdFrom(s.at)
	}
}

// endsPairs reports whether a digit at text[i], which is none of a pair, ends pairs:
// it does unless it begins 0x.
func endsPairs(text []byte, i int) bool {
	return digitFlags[text[i]]&isHex != 0 && (text[i] != '0' || i+1 < len(text) && text[i+1]|0x20 != 'x')
}

// wakePairs decodes the pairs of a row.
func (v *view) wakePairs(s *stretch, text []byte) *view {
	k := v.kid(viewPairs)
	k.awake, k.at = true, s.first
	v.c.work += workWake
	if s.mask < 0 {
		s.mask = s.at
	}
	for i := s.first - v.base; i+2 <= s.at-v.base; i++ {
		if isPair(text, i) {
			k.pair(v.base+i, hexValue[text[i]]<<4|hexValue[text[i+1]])
			if st := &k.steps[len(k.steps)-1]; st.src < s.mask {
				st.src, st.size = s.mask, 0
			}
			i++
		}
	}
	return k
}

// pair appends what a pair of digits stands for.
func (v *view) pair(at int, c byte) {
	v.steps = append(v.steps, step{out: v.end(), src: at, size: 2, width: unitOf})
	v.news = true
	v.text = append(v.text, c)
	v.at = at + 2
	v.c.work++
}

// isPair reports whether text[at:at+2] is a pair of hexadecimal digits that
// stands alone.
func isPair(text []byte, at int) bool {
	return digitFlags[text[at]]&digitFlags[text[at+1]]&isHex != 0 &&
		(at == 0 || !isAlphanumeric(text[at-1]) || text[at-1]|0x20 == 'x') &&
		(at+2 == len(text) || !isAlphanumeric(text[at+2]))
}
