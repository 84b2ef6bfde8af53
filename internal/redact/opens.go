package redact

// mayGoOn reports whether a form may go on in the next line.
func (v *view) mayGoOn(before []byte) bool {
	return v.begun(before) || v.decoded() || v.endsInEscape(before)
}

// opens reports whether a form may go on behind text, however short its beginning is.
func (v *view) opens(text []byte) bool {
	if v.c.m.grams.mayEnd(text) && v.c.begun(text) > 0 || v.openFrom(text) < len(text) {
		return true
	}
	for i := len(text) - 1; i >= max(0, len(text)-v.c.reach); i-- {
		if unitKind[text[i]] != 0 && mayBeUnit(text, i) {
			return true
		}
	}
	return false
}

// endsInEscape reports whether an escape that matters stands at the end of text, or one
// goes on behind it that may be of a form of which enough has come.
func (v *view) endsInEscape(text []byte) bool { return len(text)-v.openFrom(text) >= minPiece }

// completes reports whether a form ends with text.
func (m *Masker) completes(text []byte) bool {
	if !m.grams.endsIn(text) {
		return false
	}
	var found spans
	text = text[max(0, len(text)-m.patterns.longest):]
	m.scan(text, false, &found)
	return len(found) > 0 && found[len(found)-1].end == len(text)
}

// escapes reports whether an escape that mattered is near the end of the content, so that
// one may be open that begins with c. Names and values have a = between them, too.
func (v *view) escapes(c byte) bool {
	kids := v.kids[:viewJoin]
	if c == '=' {
		kids = v.kids[viewQuoted : viewQuoted+1]
	}
	for _, k := range kids {
		if k != nil && (k.awake || k.kept > max(0, v.end()-v.c.reach)) {
			return true
		}
	}
	return false
}

// decoded reports whether a form, or digits, may go on behind the end of a text that is
// decoded from the content.
func (v *view) decoded() bool {
	for _, k := range v.kids[:viewJoin] {
		if k == nil || !k.awake {
			continue
		}
		text := k.text[:withoutMargin(k.text)]
		if k.pending >= 0 || k.begun(text) || endsInText(text) || endsInPairs(text) || k.decoded() {
			return true
		}
	}
	return false
}

// openFrom is where in text, of the content, something begins that goes on behind it in escapes or
// digits, 0 if that is not known, or its length if there is nothing.
func (v *view) openFrom(text []byte) int {
	if endsInText(text) || endsInPairs(text) {
		return 0
	}
	near := text[max(0, len(text)-nearLine):]
	if !hasEscape(near) {
		return len(text)
	}
	open, quotedOpen := false, false
	for i := 0; i < len(near); i++ {
		if unitKind[near[i]] == 0 {
			continue
		}
		var u unit
		switch parseUnit(near, i, &u) {
		case cutUnit:
			at := len(text) - len(near) + i
			if i == len(near)-1 && v.c.m.completes(text) {
				return len(text)
			}
			if near[i] == '=' {
				open = quotedOpen
			}
			if before := text[:at]; open || v.escapes(near[i]) || endsInText(before) || endsInPairs(before) {
				return 0
			} else if v.c.m.grams.mayEnd(before) {
				at -= v.c.begun(before)
			}
			return at
		case isUnit:
			if v.c.m.mattersAt(near, i, len(near), &u) {
				return 0
			}
			if u.n == 0 || v.c.m.byteFlags[u.out[0]]&(inForm|leading|asDigit) != 0 {
				open, quotedOpen = true, quotedOpen || near[i] == '='
			}
			i = max(i, u.end-1)
		}
	}
	return len(text)
}

// begun reports whether text ends in the beginning of a form.
func (v *view) begun(text []byte) bool {
	if !v.c.m.grams.endsIn(text) {
		return false
	}
	n := v.c.begun(text)
	return n >= minPiece && !isRuler(text[len(text)-n:])
}

// begun is how much of the end of text is the beginning of a form.
func (c *cascade) begun(text []byte) int {
	text = text[max(0, len(text)-c.m.patterns.longest):]
	found := c.spans[:0]
	hold := c.m.scan(text, true, &found)
	c.spans = found
	return len(text) - hold
}
