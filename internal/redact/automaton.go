package redact

import (
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
)

// automaton is an Aho–Corasick automaton: the slow way to search, whose time
// does not depend on the text. A text that keeps the filter verifying in vain
// is handed to it for a while.
//
// States are numbered breadth first, so the children of a state are
// neighbours and the root is 0. One number is kept per state for matches: the
// length of the longest pattern that ends there. Shorter ones end inside it
// and add nothing to the union of covered bytes.
type automaton struct {
	// The trie: the children of state s are the states from
	// children[s] up to but not including children[s+1].
	children []uint32
	label    []byte // by which the state is reached from its parent
	fail     []uint32
	longest  []uint32 // longest pattern ending here, 0 for none
	open     []uint32 // longest proper prefix of a pattern ending here
	root     [256]uint32

	// read counts the bytes that were read without the table below, which is made
	// once that pays.
	read  atomic.Int64
	made  atomic.Bool
	table sync.Once

	// dense holds all transitions if they fit into maxDense numbers: at the
	// row of a state plus the class of a byte, the row of the next state. From
	// the row called ends on, rows are those of states in which a pattern
	// ends, so that a step is a load and a comparison. Row r is that of the
	// state states[r>>rowBits].
	dense   []uint32
	class   [256]uint8
	rowBits uint
	ends    uint32
	rows    []uint32 // by state
	states  []uint32
	lengths []uint32 // longest, in the order of the rows
}

const maxDense = 3 << 20 // 12 MiB

// densePays is how many bytes for each state must be read before the table of all
// transitions takes less time than it saves. Results and logs of most executions are
// shorter.
const densePays = 8

// trieNode is a state while the trie grows.
type trieNode struct {
	child, sibling uint32
	pattern        uint32 // length of the pattern that ends here
	label          byte
}

// newAutomaton builds the automaton of patterns, none of which is empty.
func newAutomaton(p *patterns) *automaton {
	nodes := growTrie(p)
	a := &automaton{
		children: make([]uint32, len(nodes)+1),
		label:    make([]byte, len(nodes)),
		fail:     make([]uint32, len(nodes)),
		longest:  make([]uint32, len(nodes)),
		open:     make([]uint32, len(nodes)),
	}
	// order[s] is the node that becomes state s; depth is known by layer.
	order := make([]uint32, 1, len(nodes))
	depth := make([]uint32, len(nodes))
	for s := uint32(0); s < uint32(len(order)); s++ { //nolint:intrange // order grows
		node := nodes[order[s]]
		a.children[s] = uint32(len(order))
		for c := node.child; c != 0; c = nodes[c].sibling {
			t := uint32(len(order))
			order = append(order, c)
			depth[t] = depth[s] + 1
			a.label[t] = nodes[c].label
			if s == 0 {
				a.root[nodes[c].label] = t
			} else {
				a.fail[t] = a.step(a.fail[s], nodes[c].label)
			}
		}
		a.longest[s] = max(node.pattern, a.longest[a.fail[s]])
		a.open[s] = depth[s]
		if node.child == 0 {
			a.open[s] = a.open[a.fail[s]]
		}
	}
	a.children[len(order)] = uint32(len(order))
	return a
}

func growTrie(p *patterns) []trieNode {
	nodes := make([]trieNode, 1, len(p.text)/2+1)
	var first [256]uint32 // the root has the most children: no list walk there
	for i := range p.len() {
		pattern := p.at(i)
		at := uint32(0)
		for depth, c := range pattern {
			var next uint32
			if depth == 0 {
				next = first[c]
			} else {
				for next = nodes[at].child; next != 0 && nodes[next].label != c; {
					next = nodes[next].sibling
				}
			}
			if next == 0 {
				next = uint32(len(nodes))
				nodes = append(nodes, trieNode{sibling: nodes[at].child, label: c})
				nodes[at].child = next
				if depth == 0 {
					first[c] = next
				}
			}
			at = next
		}
		nodes[at].pattern = uint32(len(pattern))
	}
	return nodes
}

// isDense reports whether there is a table for a text of so many bytes.
func (a *automaton) isDense(text int) bool {
	if !a.made.Load() {
		if a.read.Add(int64(text)) < densePays*int64(len(a.fail)) {
			return false
		}
		a.makeTable()
	}
	return a.dense != nil
}

func (a *automaton) makeTable() {
	a.table.Do(func() {
		a.makeDense()
		a.made.Store(true)
	})
}

// makeDense fills the table of all transitions, if it is small enough. Bytes
// that occur in no pattern share one class.
func (a *automaton) makeDense() {
	var members []byte // members[i] has class i+1
	for _, c := range a.label[1:] {
		if a.class[c] == 0 {
			members = append(members, c)
			a.class[c] = 1
			if len(members) == 255 {
				break
			}
		}
	}
	slices.Sort(members)
	for i, c := range members {
		a.class[c] = uint8(i + 1)
	}
	states := len(a.fail)
	a.rowBits = uint(bits.Len(uint(len(members))))
	if len(members) == 255 || states<<a.rowBits > maxDense {
		return
	}
	a.dense = make([]uint32, states<<a.rowBits)
	a.orderRows()
	size := uint32(1) << a.rowBits
	for s := range uint32(states) {
		row := a.dense[a.rows[s]:][:size]
		if s > 0 {
			copy(row, a.dense[a.rows[a.fail[s]]:])
		}
		for t := a.children[s]; t < a.children[s+1]; t++ {
			row[a.class[a.label[t]]] = a.rows[t]
		}
	}
}

// orderRows gives each state its row.
func (a *automaton) orderRows() {
	a.rows = make([]uint32, len(a.fail))
	a.states = make([]uint32, 0, len(a.fail))
	a.lengths = make([]uint32, 0, len(a.fail))
	for _, ending := range [...]bool{false, true} {
		if ending {
			a.ends = uint32(len(a.states)) << a.rowBits
		}
		for s, length := range a.longest {
			if (length > 0) == ending {
				a.rows[s] = uint32(len(a.states)) << a.rowBits
				a.states = append(a.states, uint32(s))
				a.lengths = append(a.lengths, length)
			}
		}
	}
}

// step returns the state after s has read c.
func (a *automaton) step(s uint32, c byte) uint32 {
	for s != 0 {
		low, high := a.children[s], a.children[s+1]
		for t := low; t < high; t++ {
			if a.label[t] == c {
				return t
			}
		}
		s = a.fail[s]
	}
	return a.root[c]
}

// crosses reports whether an occurrence in text has text[at] and at least so many
// bytes before it.
func (a *automaton) crosses(text []byte, at, least int) bool {
	s := uint32(0)
	for _, c := range text[:at] {
		s = a.step(s, c)
	}
	for i, c := range text[at:] {
		s = a.step(s, c)
		if int(a.longest[s]) > i+least {
			return true
		}
		if int(a.open[s]) <= i+least {
			return false
		}
	}
	return false
}

// run reads text from state s, adds the occurrences that end in it to found,
// with base added to their positions, and returns the state reached.
func (a *automaton) run(s uint32, text []byte, base int, found *spans) uint32 {
	if !a.isDense(len(text)) {
		for i, c := range text {
			s = a.step(s, c)
			if n := int(a.longest[s]); n > 0 {
				found.add(base+i+1-n, base+i+1)
			}
		}
		return s
	}
	row, rowBits, ends := a.rows[s], a.rowBits&31, a.ends
	dense, lengths := a.dense, a.lengths
	// The last range added. Its end is written to found when another follows,
	// or the text ends: in dense text most bytes end an occurrence.
	lastStart, lastEnd := 0, -1
	for i := 0; i < len(text); i++ {
		c, before := text[i], row
		row = dense[row+uint32(a.class[c])]
		if row < ends {
			continue
		}
		start := base + i + 1 - int(lengths[row>>rowBits])
		if row == before {
			// The same byte leads here again: a run of it is one range.
			for i+1 < len(text) && text[i+1] == c {
				i++
			}
		}
		end := base + i + 1
		if lastStart <= start && start <= lastEnd {
			lastEnd = end
			continue
		}
		found.extend(lastEnd)
		found.add(start, end)
		last := (*found)[len(*found)-1]
		lastStart, lastEnd = last.start, last.end
	}
	found.extend(lastEnd)
	return a.states[row>>rowBits]
}
