package redact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrNotJSON is wrapped by the error of [Masker.JSON] for a text that is no
// JSON document. Such a text can be masked by [Masker.Bytes].
var ErrNotJSON = errors.New("redact: not a JSON document; mask it as text")

// JSON returns a JSON document with every occurrence of a form masked in
// strings, in names of members, in numbers and literals. It returns doc itself
// when there is none. The result is valid JSON with the layout, the order and
// the text of all numbers unchanged:
//
//   - strings and names are masked as the text they stand for, so a form is
//     found whichever way it is escaped;
//   - a number or literal that holds a form becomes a string;
//   - members of one object whose names become equal by masking get a different
//     suffix, "[redacted]-2", so that none is lost to a reader;
//   - if a form still spans several values, such as a secret that is a JSON
//     document, the smallest value around it becomes the string "[redacted]".
func (m *Masker) JSON(doc []byte) ([]byte, error) {
	if m.cleared.Load() {
		return []byte(`"` + Mask + `"`), nil
	}
	if !validJSON(doc) {
		// The error of encoding/json quotes the text.
		return nil, fmt.Errorf("%w (%d bytes)", ErrNotJSON, len(doc))
	}
	if m.empty() {
		return doc, nil
	}
	masked := m.maskTree(doc)
	if left := m.find(masked); len(left) > 0 {
		masked = replaceAround(masked, left)
	}
	return masked, nil
}

// validJSON is json.Valid at four times its speed.
func validJSON(doc []byte) bool {
	return jsontext.Value(doc).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// jsonNode is a value of a document: where its text is, and the values in it.
type jsonNode struct {
	span
	names    []span     // of an object's members
	elements []jsonNode // of an object or array
}

// jsonParser reads the layout of a document known to be valid.
type jsonParser struct {
	doc []byte
	at  int
}

func parseLayout(doc []byte) jsonNode {
	p := jsonParser{doc: doc}
	p.space()
	return p.value()
}

func (p *jsonParser) space() {
	for p.at < len(p.doc) {
		switch p.doc[p.at] {
		case ' ', '\t', '\r', '\n', ',', ':':
			p.at++
		default:
			return
		}
	}
}

func (p *jsonParser) value() jsonNode {
	node := jsonNode{span: span{start: p.at}}
	switch p.doc[p.at] {
	case '"':
		p.text()
	case '{', '[':
		object := p.doc[p.at] == '{'
		p.at++
		for p.space(); p.doc[p.at] != '}' && p.doc[p.at] != ']'; p.space() {
			if object {
				node.names = append(node.names, p.text())
				p.space()
			}
			node.elements = append(node.elements, p.value())
		}
		p.at++
	default:
		n := bytes.IndexAny(p.doc[p.at:], " \t\r\n,]}")
		if n < 0 {
			n = len(p.doc) - p.at
		}
		p.at += n
	}
	node.end = p.at
	return node
}

func (p *jsonParser) text() span {
	start := p.at
	for p.at++; p.doc[p.at] != '"'; p.at++ {
		if p.doc[p.at] == '\\' {
			p.at++
		}
	}
	p.at++
	return span{start, p.at}
}

// jsonEdit replaces parts of a document from front to back.
type jsonEdit struct {
	doc, out []byte
	at       int // doc[:at] is in out
}

func (e *jsonEdit) replace(where span, with []byte) {
	e.out = append(e.out, e.doc[e.at:where.start]...)
	e.out = append(e.out, with...)
	e.at = where.end
}

func (e *jsonEdit) done() []byte {
	if e.at == 0 {
		return e.doc
	}
	return append(e.out, e.doc[e.at:]...)
}

// maskTree masks each string, name, number and literal separately.
func (m *Masker) maskTree(doc []byte) []byte {
	edit := jsonEdit{doc: doc}
	var walk func(node jsonNode)
	walk = func(node jsonNode) {
		names := m.maskNames(doc, node.names)
		for i, element := range node.elements {
			if names != nil && names[i] != nil {
				edit.replace(node.names[i], names[i])
			}
			walk(element)
		}
		switch token := doc[node.start:node.end]; token[0] {
		case '{', '[':
		case '"':
			if text, changed := m.maskText(token); changed {
				edit.replace(node.span, quoteJSON(text))
			}
		default:
			if m.Contains(token) {
				edit.replace(node.span, quoteJSON(m.String(string(token))))
			}
		}
	}
	walk(parseLayout(doc))
	return edit.done()
}

// maskText masks the text a literal stands for.
func (m *Masker) maskText(literal []byte) (text string, changed bool) {
	text = unquoteJSON(literal)
	masked := m.Bytes([]byte(text))
	return string(masked), string(masked) != text
}

// maskNames returns the new literals of those names that change, nil if none
// does. No two names of an object become equal that were not.
func (m *Masker) maskNames(doc []byte, names []span) [][]byte {
	var changed [][]byte
	for i, name := range names {
		if text, ok := m.maskText(doc[name.start:name.end]); ok {
			if changed == nil {
				changed = make([][]byte, len(names))
			}
			changed[i] = []byte(text)
		}
	}
	if changed == nil {
		return nil
	}
	taken := make(map[string]bool, len(names))
	for i, name := range names {
		if changed[i] == nil {
			taken[unquoteJSON(doc[name.start:name.end])] = true
		}
	}
	next := make(map[string]int)
	for i := range changed {
		if changed[i] != nil {
			changed[i] = quoteJSON(unusedName(string(changed[i]), taken, next))
		}
	}
	return changed
}

// unusedName returns name, with a number if it is taken, and takes it.
func unusedName(name string, taken map[string]bool, next map[string]int) string {
	unused := name
	for taken[unused] {
		next[name] = max(next[name], 1) + 1
		unused = name + "-" + strconv.Itoa(next[name])
	}
	taken[unused] = true
	return unused
}

// replaceAround replaces the smallest values, or names of members, around the
// ranges left.
func replaceAround(doc []byte, left spans) []byte {
	edit := jsonEdit{doc: doc}
	mask := quoteJSON(Mask)
	var walk func(node jsonNode)
	walk = func(node jsonNode) {
		if !left.meet(node.span) {
			return
		}
		if !left.insideAny(node) {
			edit.replace(node.span, mask)
			return
		}
		taken, next := map[string]bool{}, map[string]int{}
		for _, name := range node.names {
			if !left.meet(name) {
				taken[unquoteJSON(doc[name.start:name.end])] = true
			}
		}
		for i, element := range node.elements {
			if node.names != nil && left.meet(node.names[i]) {
				edit.replace(node.names[i], quoteJSON(unusedName(Mask, taken, next)))
			}
			walk(element)
		}
	}
	walk(parseLayout(doc))
	return edit.done()
}

// meet reports whether a range of u overlaps where.
func (u spans) meet(where span) bool {
	return len(u.overlapping(where)) > 0
}

// overlapping returns the ranges of u that overlap where.
func (u spans) overlapping(where span) spans {
	low := sort.Search(len(u), func(i int) bool { return u[i].end > where.start })
	high := sort.Search(len(u), func(i int) bool { return u[i].start >= where.end })
	return u[low:max(low, high)]
}

// insideAny reports whether every range of u that overlaps node lies within
// one of its names or elements.
func (u spans) insideAny(node jsonNode) bool {
	for _, f := range u.overlapping(node.span) {
		// The first element that does not end before the range, and its name.
		i := sort.Search(len(node.elements), func(i int) bool { return node.elements[i].end >= f.end })
		if i == len(node.elements) {
			return false
		}
		inElement := node.elements[i].start <= f.start
		inName := node.names != nil && node.names[i].start <= f.start && f.end <= node.names[i].end
		if !inElement && !inName {
			return false
		}
	}
	return true
}

func unquoteJSON(literal []byte) string {
	var text string
	// The document is valid, so each of its strings is.
	_ = json.Unmarshal(literal, &text)
	return text
}

// quoteJSON writes text as a JSON string without the escapes for HTML.
func quoteJSON(text string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	// A string and a bytes.Buffer cannot fail.
	_ = encoder.Encode(text)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
