package redact

import "math/bits"

// readWindows is readRun for forms of ASCII. It looks at many digits at once.
func (v *view) readWindows(r *digitRun, end int, ended, final bool) {
	windows := &v.c.windows
	for r.at+minJoined <= end {
		left := v.text[r.at-v.base : end-v.base]
		n, valid := min((len(left)-blockSpan)/digitStep+1, len(windows)), digitStep
		if len(left) >= blockSpan {
			digitWindows(left, n, windows[:])
		} else {
			padded := nothing
			copy(padded[:], left)
			n, valid = 1, min(len(left)-minJoined+1, digitStep)
			digitWindows(padded[:], n, windows[:])
		}
		for i := range windows[:n] {
			v.readWindow(r.at, valid, &windows[i], end)
			r.at += valid
		}
	}
	for kind := viewHex; kind < viewPairs; kind++ {
		if k := v.kids[kind]; k != nil && k.awake {
			v.twos(k, end)
		}
	}
	for kind := viewBase64; kind < viewPairs; kind++ {
		k := v.kids[kind]
		if k == nil || !k.awake {
			continue
		}
		if kind < viewHex {
			v.decode64(k)
		}
		if !ended {
			if !final && k.at < end {
				v.holdFrom(k.at)
			}
			continue
		}
		if rest := v.text[k.at-v.base : end-v.base]; kind < viewHex && len(rest) >= 2 {
			v.tail64(k, rest)
		}
		k.sleep()
	}
}

// tail64 decodes the last two or three digits of a run.
func (v *view) tail64(k *view, rest []byte) {
	tail := [4]byte{'A', 'A', 'A', 'A'}
	copy(tail[:], rest)
	var out [3]byte
	decodeGroup(&out, tail[:])
	k.digits(k.at, len(rest), out[:len(rest)-1])
}

// readWindow reads the digits that begin in the valid places from at on.
func (v *view) readWindow(at, valid int, w *digitWindow, end int) {
	mask := uint64(1)<<valid - 1
	for shift := range 4 {
		kind := viewBase64 + viewKind((at+shift)&3)
		k, places := v.kids[kind], w.base64&mask&(0x1111111111111111<<shift)
		if places != 0 || k != nil && k.awake {
			v.groups(k, kind, at, places, at+valid)
		}
	}
	for shift := range 2 {
		kind := viewHex + viewKind((at+shift)&1)
		k, places := v.kids[kind], w.hex&mask&(0x5555555555555555<<shift)
		if places != 0 || k != nil && k.awake {
			v.pairsOf(k, kind, at, places, end)
		}
	}
}

// groups reads base64 where four groups of digits stand for text: they begin at
// places from at on, and all that begin before upTo are known. What goes on is
// decoded later, in one piece.
func (v *view) groups(k *view, kind viewKind, at int, places uint64, upTo int) {
	for places != 0 {
		first := bits.TrailingZeros64(places)
		start := at + first
		rest := ^(places >> first) & 0x1111111111111111
		n := min(bits.TrailingZeros64(rest)/4, (64-first+3)/4)
		if k == nil || !k.awake || start != k.until-(minJoined-4) {
			v.decode64(k)
			k.sleep()
			k = v.wake64(kind, start)
		}
		k.until = start + 4*(n-1) + minJoined
		places &= ^uint64(0) << (first + 4*n) // none if that is 64 or more
	}
	if k != nil && k.awake && k.until-(minJoined-4) < upTo {
		v.decode64(k)
		k.sleep()
	}
}

// decode64 decodes the groups that are read.
func (v *view) decode64(k *view) {
	if k == nil || !k.awake || k.until <= k.at {
		return
	}
	before := len(k.text)
	k.text = appendBase64(k.text, v.text[k.at-v.base:k.until-v.base])
	k.at, k.news = k.until, true
	v.c.work += len(k.text) - before
}

// wake64 begins to decode groups of digits.
func (v *view) wake64(kind viewKind, start int) *view {
	var s stretch
	var out [3]byte
	for at := v.orderMark(start); at < start+minJoined; at += 4 {
		decodeGroup(&out, v.text[at-v.base:])
		if s.group(v.c.m.grams, at, at+4, out[:]); at < start {
			s.mask = -1 // it is held from where text begins
		}
	}
	k := v.wakeDigits(kind, &s, start+minJoined, 6)
	k.until = start
	return k
}

// orderMark is where digits begin that stand for text from start on: four before it if
// these are a byte order mark of UTF-16, and the first half of a character.
func (v *view) orderMark(start int) int {
	if at := start - 4; at >= v.run.start {
		switch string(v.text[at-v.base : at-v.base+3]) {
		case "//4", "//5", "__4", "__5":
			return at
		}
	}
	return start
}

// pairsOf decodes pairs of hexadecimal digits from places on at which several
// stand for text.
func (v *view) pairsOf(k *view, kind viewKind, at int, places uint64, end int) {
	for {
		if k != nil {
			if v.twos(k, end); k.awake {
				return
			}
			places &= ^uint64(0) << max(k.at-at, 0) // none if that is 64 or more
		}
		if places == 0 {
			return
		}
		first := bits.TrailingZeros64(places)
		if places &^= 1 << first; v.standForText(at + first) {
			k = v.wakeTwos(kind, at+first)
		}
	}
}

// minHits is the number of pairs of digits by which text is found.
const minHits = 6

// standForText reports whether pairs of digits stand for text, of which the windows know
// the first digits alone. Numbers that begin with many zeros do not.
func (v *view) standForText(start int) bool {
	if string(v.text[start-v.base:start-v.base+8]) == "00000000" {
		return false
	}
	var out [3]byte
	characters := 0
	for at := start; at < start+2*minHits; at += 2 {
		if v.c.m.decode(&out, v.text[at-v.base:], 2) == 0 {
			return false
		}
		if out[0] != 0 {
			characters++
		}
	}
	return characters >= 2
}

func (v *view) wakeTwos(kind viewKind, start int) *view {
	var s stretch
	var out [3]byte
	for at := start; at < start+2*minHits; at += 2 {
		v.c.m.decode(&out, v.text[at-v.base:], 2)
		s.group(v.c.m.grams, at, at+2, out[:1])
	}
	return v.wakeDigits(kind, &s, start+2*minHits, 4)
}

// twos decodes pairs of hexadecimal digits as long as they stand for text.
func (v *view) twos(k *view, end int) {
	var out [3]byte
	for k.awake && k.at+2 <= end {
		if v.c.m.decode(&out, v.text[k.at-v.base:], 2) == 0 {
			k.sleep()
			k.at += 2
			return
		}
		k.digits(k.at, 2, out[:1])
	}
}
