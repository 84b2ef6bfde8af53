package sandbox

import (
	"strings"
)

// Options are the choices of the operator of a server.
type Options struct {
	// FirstID and IDs are the range of users (and groups) that executions
	// run as if the server is root, a different one each: from FirstID on,
	// IDs of them. Servers with the same range share it. Zero means 200000 to
	// 265535.
	FirstID, IDs uint32
	// SameUser leaves executions the user of the server, even if that is root.
	SameUser bool
}

// The default range is one that neither people nor services have. A system that
// gives subordinate users to containers may use it: such a system needs the
// setting.
const (
	defaultFirstID = 200_000
	defaultIDs     = 1 << 16
)

// A Layer is one part of the sandbox on this machine.
type Layer struct {
	// Name is a word.
	Name string
	// Held reports whether this machine has it.
	Held bool
	// Says is its guarantee if this machine has it, else the reason.
	Says string
	// Exposes is the risk without it.
	Exposes string
	// Optional is a layer without which the sandbox still holds.
	Optional bool
}

// Missing are the layers without which the sandbox does not hold.
func (m *Machine) Missing() []Layer {
	var missing []Layer
	for _, l := range m.Layers() {
		if !l.Held && !l.Optional {
			missing = append(missing, l)
		}
	}
	return missing
}

// Require returns an error if the sandbox does not hold on this machine.
func (m *Machine) Require() error {
	if missing := m.Missing(); len(missing) > 0 {
		return &MissingError{missing}
	}
	return nil
}

// A MissingError lists the layers that a machine lacks.
type MissingError struct{ Layers []Layer }

func (e *MissingError) Error() string {
	names := make([]string, 0, len(e.Layers))
	for _, l := range e.Layers {
		names = append(names, l.Name)
	}
	return "this machine cannot confine services: missing " + strings.Join(names, ", ")
}

// Hint gives the reasons, layer by layer.
func (e *MissingError) Hint() string {
	lines := make([]string, 0, len(e.Layers)+1)
	for _, l := range e.Layers {
		lines = append(lines, l.Name+": "+l.Says+" ("+l.Exposes+")")
	}
	return strings.Join(append(lines, "qhubctl doctor shows all layers; without --require-sandbox services run with those there are"), "\n")
}
