package leak

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// A Finding is a canary in a place where none may be.
type Finding struct {
	Canary Canary
	// Form is its form, Place where it was found.
	Form, Place string
	// Around is the text around it.
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

// Search returns the canaries in a text, each once.
func (n *Net) Search(place string, text []byte) []Finding {
	var found []Finding
	for at := n.next(text, 0); at >= 0; at = n.next(text, at+1) {
		for _, needle := range n.needles[binary.LittleEndian.Uint64(text[at:])] {
			end := at + len(needle.form.Text)
			if end > len(text) || string(text[at:end]) != needle.form.Text {
				continue
			}
			if slices.ContainsFunc(found, func(f Finding) bool { return f.Canary == *needle.canary }) {
				continue
			}
			around := text[max(0, at-40):min(len(text), end+20, at+160)]
			found = append(found, Finding{*needle.canary, needle.form.Name, place, string(around)})
		}
	}
	return found
}

// next is the first place from at on where a form may begin; -1: there is none.
// It reads every byte of the text, which no goroutine writes to: the race
// detector would take most of the time.
//
//go:norace
func (n *Net) next(text []byte, at int) int {
	for ; at+shortest <= len(text); at++ {
		if h := hash(binary.LittleEndian.Uint64(text[at:])); n.mesh[h/64]&(1<<(h%64)) != 0 {
			return at
		}
	}
	return -1
}
