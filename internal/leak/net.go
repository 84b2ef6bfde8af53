package leak

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A Finding is a canary that was where none may be.
type Finding struct {
	Canary Canary
	// Form is how it was written, Place where.
	Form, Place string
	// Around is the text that it was found in.
	Around string
}

func (f Finding) String() string {
	return fmt.Sprintf("%s, a secret of the shape %s, is in %s (%s): %q", f.Canary.Cell, f.Canary.Shape, f.Place, f.Form, f.Around)
}

// A Net searches texts for all forms of many canaries. It is safe for
// concurrent use.
type Net struct {
	mesh    [1 << meshBits / 64]uint64 // hashes of the first bytes of all forms
	needles map[uint64][]needle
}

const meshBits = 22

type needle struct {
	canary *Canary
	form   Form
}

// NewNet makes a net.
func NewNet(canaries []Canary) *Net {
	n := &Net{needles: map[uint64][]needle{}}
	for i := range canaries {
		for _, form := range canaries[i].Forms() {
			first := binary.LittleEndian.Uint64([]byte(form.Text))
			h := hash(first)
			n.mesh[h/64] |= 1 << (h % 64)
			n.needles[first] = append(n.needles[first], needle{&canaries[i], form})
		}
	}
	return n
}

func hash(first uint64) uint64 { return first * 0x9e3779b97f4a7c15 >> (64 - meshBits) }

// Search gives what is found in a text: each canary once.
func (n *Net) Search(place string, text []byte) []Finding {
	var found []Finding
	for at := range max(0, len(text)-shortest+1) {
		first := binary.LittleEndian.Uint64(text[at:])
		if h := hash(first); n.mesh[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for _, needle := range n.needles[first] {
			if !strings.HasPrefix(string(text[at:min(len(text), at+len(needle.form.Text))]), needle.form.Text) {
				continue
			}
			if slices.ContainsFunc(found, func(f Finding) bool { return f.Canary == *needle.canary }) {
				continue
			}
			around := text[max(0, at-40):min(len(text), at+len(needle.form.Text)+20)]
			found = append(found, Finding{*needle.canary, needle.form.Name, place, string(around[:min(len(around), 200)])})
		}
	}
	return found
}
