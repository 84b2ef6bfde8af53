package redact

// maxDepth is how many encodings may be nested in each other.
const maxDepth = 3

// A viewKind is one way in which a view is made of the text that it decodes.
type viewKind uint8

const (
	viewPercent   viewKind = iota // %2F, %u0041
	viewBackslash                 // \n, \", \x2f, \057, \u002f, \u{2f}, \U0000002f
	viewEntity                    // &amp; &#47; &#x2f;
	viewQuoted                    // =2F, and = at the end of a line
	viewWide                      // UTF-16 and UTF-32 without their NULs
	viewJoin                      // lines that a printer has broken
	viewMarked                    // the same, without the mark of a line that goes on
	viewSpaced                    // the same, with a space for each line end
	viewBase64                    // digits of base64, for each of four alignments
	viewHex       = viewBase64 + 4
	viewPairs     = viewHex + 2 // pairs of hexadecimal digits with separators between them
	viewKinds     = viewPairs + 1
	viewStream    = viewKinds // the stream itself
)

// isJoin reports whether the view leaves out what stands between lines.
func (k viewKind) isJoin() bool { return viewJoin <= k && k <= viewSpaced }

// late is how many bytes of an escape at text[at:] are left if a secret begins
// with it, so that a prompt or a progress bar that ends there shows at once.
func (k viewKind) late(text []byte, at int) int {
	if k == viewQuoted || k == viewPercent && at > 0 && '0' <= text[at-1] && text[at-1] <= '9' {
		return 1
	}
	return 0
}

// A view is a text that is decoded from another one, and is decoded further
// itself. Its content is a function of the stream alone: each byte of the stream
// is read once, in order, and a place that more text decides is waited for. So
// the masks do not depend on how the stream is cut.
//
// Positions are those in the content, of which text is the end.
type view struct {
	c      *cascade
	parent *view
	kind   viewKind
	depth  int // encodings that may be nested in it

	text  []byte
	base  int    // where text begins
	steps []step // what it is decoded from
	hold  int    // where the longest suffix begins that is the beginning of a form
	word  int    // the same for words

	// What decodes it. What follows surveyed is not listed in found yet.
	kids     [viewKinds]*view
	found    survey
	surveyed int
	run      digitRun

	reader
}

// A reader is how far a view has read its parent. Positions are those there.
type reader struct {
	at      int  // the text before it is decoded, or left out
	next    int  // where the next escape may begin
	pending int  // a place that more text decides, or -1
	since   int  // the text from here up to at is in the content, while awake
	resting bool // the content goes on if the next escape is near
	news    bool // there is content that is not searched
	awake   bool // the parent is being decoded; otherwise the view is like it
	left    int  // how much is decoded without an escape until it sleeps
	kept    int  // where the last escape ends across which something goes on
	until   int  // digits before it stand for text, and are decoded later
	floor   int  // nothing goes on from what stands before it
	recent  [recentEdits]edit
	edits   int // how many there were
	resume  int // where a line begins that may be joined
	margin  int // where a margin ends that nothing goes on across
	cluster int // letters and digits that were escaped, one behind the other
}

// recentEdits is how many escapes are remembered that were not decoded.
const recentEdits = 32

func (v *view) end() int { return v.base + len(v.text) }

// A step says what the bytes from out on are decoded from, up to the next step.
type step struct {
	out, src int
	size     int32 // of an escape
	width    uint8 // bits of a digit, or one of those below
}

const (
	asIs   = 0    // byte by byte
	unitOf = 0xfe // all of it from an escape
	gap    = 0xff // nothing: parts of the text that do not follow each other
)

// gapByte stands for a gap. It is part of no escape, no digits and no line.
const gapByte = 1

// copy appends the bytes of the parent from at on up to a place.
func (v *view) copy(to int) {
	if to <= v.at {
		return
	}
	p := v.parent
	v.c.work += to - v.at
	v.news = true
	if n := len(v.steps); n == 0 || v.steps[n-1].width != asIs || v.steps[n-1].src+v.end()-v.steps[n-1].out != v.at {
		v.steps = append(v.steps, step{out: v.end(), src: v.at})
	}
	v.text = append(v.text, p.text[v.at-p.base:to-p.base]...)
	v.at = to
}

// unit appends what an edit stands for.
func (v *view) unit(e *edit) {
	if e.n > 0 {
		src := e.start + v.kind.late(v.parent.text, e.start-v.parent.base)
		v.steps = append(v.steps, step{out: v.end(), src: src, size: int32(e.end - src), width: unitOf})
		v.text = append(v.text, e.out[:e.n]...)
		v.news = true
	}
	v.at = e.end
}

// rest ends the content where no escape is near. It may go on from there.
func (v *view) rest() { v.awake, v.resting = false, true }

// sleep ends a part of the content.
func (v *view) sleep() {
	if v == nil || !v.awake && !v.resting {
		return
	}
	v.awake, v.resting, v.news = false, false, true
	v.steps = append(v.steps, step{out: v.end(), src: v.at, width: gap})
	v.text = append(v.text, gapByte)
}

// stepAt is the last step that begins at x or before.
func (v *view) stepAt(x int) int {
	low, high := 0, len(v.steps)
	for low < high {
		if middle := int(uint(low+high) / 2); v.steps[middle].out <= x {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low - 1
}

// source is where what decodes to byte x begins.
func (v *view) source(x int) int {
	i := v.stepAt(x)
	if i < 0 {
		return v.at
	}
	switch s := &v.steps[i]; s.width {
	case asIs:
		return s.src + x - s.out
	case unitOf, gap:
		return s.src
	default:
		return max(s.src+8*(x-s.out)/int(s.width), s.src+int(s.size))
	}
}

// up maps a range of the content to what it is decoded from. A range with a gap
// in it is none.
func (v *view) up(r span) (up span, ok bool) {
	if v.kind.isJoin() {
		r.start = v.firstPiece(r)
	}
	first, last := v.stepAt(r.start), v.stepAt(r.end-1)
	if first < 0 {
		return span{}, false
	}
	for i := first; i <= last; i++ {
		if v.steps[i].width == gap {
			return span{}, false
		}
	}
	up.start = v.source(r.start)
	switch s := &v.steps[last]; s.width {
	case asIs:
		up.end = s.src + r.end - s.out
	case unitOf:
		up.end = s.src + int(s.size)
	default:
		bits := int(s.width)
		up.end = s.src + (8*(r.end-s.out)+bits-1)/bits
	}
	return up, up.start < up.end
}

// firstPiece is the start of r without first pieces that say too little to be held
// back at the ends of their lines.
func (v *view) firstPiece(r span) int {
	start := r.start
	for i := v.stepAt(r.start) + 1; i < len(v.steps) && v.steps[i].out < r.end; i++ {
		at := v.steps[i].out
		if at >= r.start+minPiece && (start < v.base || !isRuler(v.text[start-v.base:at-v.base])) {
			break
		}
		start = at
	}
	return start
}

// isRuler reports whether all bytes of text are the same, as in a line of hyphens.
func isRuler(text []byte) bool {
	for _, c := range text {
		if c != text[0] {
			return false
		}
	}
	return true
}

// minPiece is the length of the shortest beginning of a secret at the end of a
// line that is held until the next line.
const minPiece = 4

// mark has a range of the content masked.
func (v *view) mark(r span) {
	for ; v.parent != nil; v = v.parent {
		up, ok := v.up(r)
		if !ok {
			return
		}
		r = up
	}
	v.c.mark(r)
}

// holdFrom holds the stream from what position x is decoded from on.
func (v *view) holdFrom(x int) { v.holdPiece(x, false) }

// holdForm holds the stream where a form begins at the end of the content.
func (v *view) holdForm() { v.holdPiece(v.hold, v.kind.isJoin()) }

// holdPiece is holdFrom. It does not hold a piece of a line that is too short at the
// end of it, or, if it is not decoded but joined, at a possible end.
func (v *view) holdPiece(x int, possible bool) {
	for ; v.parent != nil; v = v.parent {
		if x >= v.end() {
			return
		}
		if v.kind.isJoin() {
			x = v.firstPiece(span{x, v.end()})
			if v.at < v.parent.end() && (v.end()-x < minPiece || x >= v.base && isRuler(v.text[x-v.base:])) && (v.pending >= 0 || possible) {
				if x = v.resume; v.pending < 0 || x >= v.parent.end() {
					return
				}
				possible = false
				continue
			}
		}
		possible = false
		x = v.source(x)
	}
	v.c.hold = min(v.c.hold, x)
}

// advance searches the new content, and all views of it.
func (v *view) advance(final bool) {
	v.news = false
	v.search(final)
	if v.kind != viewSpaced {
		v.look(final)
	}
	if v.parent != nil {
		v.drop()
	}
}

// search looks for the forms in the new content.
func (v *view) search(final bool) {
	if v.parent == nil {
		return // the writer does
	}
	text := v.text[v.hold-v.base:]
	if len(text) > 0 {
		found := v.c.spans[:0]
		at := v.c.m.scan(text, true, &found)
		v.c.spans = nil
		for _, f := range found {
			if f = (span{v.hold + f.start, v.hold + f.end}); v.kind.isJoin() {
				v.markLines(f)
			} else {
				v.mark(f)
			}
		}
		v.c.spans = found
		v.hold += at
		if text[len(text)-1] == gapByte {
			v.hold = v.end()
		}
	}
	if !final && v.hold < v.end() {
		v.holdForm()
	}
	if len(v.c.m.words) > 0 && (v.kind.isJoin() || v.kind <= viewQuoted) {
		v.words(final)
	}
}

// markLines is mark for occurrences in joined lines. It leaves what stands between
// two lines if none of them crosses it.
func (v *view) markLines(r span) {
	for i := v.stepAt(r.start) + 1; i < len(v.steps) && v.steps[i].out < r.end; i++ {
		at := v.steps[i].out
		if at > r.start && !v.crossed(at) {
			if at-r.start >= minPiece {
				v.mark(span{r.start, at})
			}
			r.start = at
		}
	}
	v.mark(r)
}

// crossed reports whether a form stands on both sides of a place, and is held there.
func (v *view) crossed(at int) bool {
	m := v.c.m
	at -= v.base
	if text := v.text[:at]; !m.grams.cross(text, v.text[at:]) {
		return false
	}
	longest := m.patterns.longest
	from := max(0, at-longest)
	v.c.work += 2 * longest
	return m.automaton().crosses(v.text[from:min(len(v.text), at+longest)], at-from, minPiece)
}

// words looks for words in the new content.
func (v *view) words(final bool) {
	from := max(v.base, v.word-1)
	text := v.text[from-v.base:]
	hold := eachWord(v.c.m.words, text, !final, func(start, end int) {
		if from+start >= v.word {
			v.mark(span{from + start, from + end})
		}
	})
	if v.word = from + hold; !final && v.word < v.end() {
		v.holdFrom(v.word)
	}
}

// drop forgets content that nothing needs any more.
func (v *view) drop() {
	margin := v.c.margin()
	keep := v.c.passed
	if v.parent != nil {
		keep = v.end()
	}
	if keep-margin-v.base <= len(v.text)/2 {
		return
	}
	if drop := v.needed(keep) - margin - v.base; drop > len(v.text)/2 && drop > 0 {
		n := copy(v.text, v.text[drop:])
		v.text, v.base = v.text[:n], v.base+drop
		if i := v.stepAt(v.base); i > 0 {
			v.steps = v.steps[:copy(v.steps, v.steps[i:])]
		}
	}
}

// needed is where the content begins that may still be masked, held or decoded, up
// to a place.
func (v *view) needed(most int) int {
	if v.parent != nil {
		most = min(most, v.hold)
		if len(v.c.m.words) > 0 {
			most = min(most, v.word)
		}
	}
	for _, k := range v.kids {
		if k == nil {
			continue
		}
		if k.pending >= 0 {
			most = min(most, k.pending)
		}
		if k.awake {
			most = min(most, k.at)
			if first := k.needed(k.end()); first < k.end() {
				most = min(most, k.source(first))
			}
		}
	}
	return most
}
