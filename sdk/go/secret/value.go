package secret

import (
	"encoding/binary"
	"errors"
	"math/rand/v2" //nolint:depguard // see newPad
	"strings"
	"sync/atomic"
)

// ErrLocked is the error of Unwrap from the second call on.
var ErrLocked = errors.New("secret is locked and cannot be unwrapped: it was unwrapped before")

// ErrReflection is the error of an Unwrap that reflection calls.
var ErrReflection = errors.New("a secret is not unwrapped by a template or other reflection: unwrap it in the code that uses it")

// A Value is a secret. The zero Value is locked and empty. Copies share one
// lock.
type Value struct {
	// A pointer, because copies share the lock, and because fmt prints a
	// pointer inside a struct as an address if it cannot call methods.
	cell *cell
}

// cell is shared by the copies of a Value: nil inside once unwrapped.
type cell struct{ sealed atomic.Pointer[sealed] }

// sealed is the plain text combined with a random pad of its length. A function holds the
// pad, because reflection cannot read the variables of a function.
type sealed struct {
	padded []byte
	pad    func() []byte
}

// New makes a secret of plain text. It copies bytes; the caller may clear the original
// afterwards.
func New[Plain ~string | ~[]byte](plain Plain) Value {
	padded := make([]byte, len(plain))
	pad := newPad(len(plain))
	shielded(func() {
		for i := range len(plain) {
			padded[i] = plain[i] ^ pad[i]
		}
	})
	c := new(cell)
	c.sealed.Store(&sealed{padded: padded, pad: func() []byte { return pad }})
	return Value{c}
}

// newPad makes a random pad. The pad and what it hides are in the same process, so it only
// has to be different each time. The generator of the runtime is ready when a process
// starts; crypto/rand takes as long to start as all the rest of a service with secrets.
func newPad(size int) []byte {
	pad := make([]byte, (size+7)&^7)
	for i := 0; i < size; i += 8 {
		binary.NativeEndian.PutUint64(pad[i:], rand.Uint64()) //nolint:gosec // see above
	}
	return pad[:size]
}

// Unwrap returns the plain text, once. Every other call, also on a copy and
// at the same time, returns [ErrLocked].
//
// Code unwraps a secret by name. A call by reflection, such as that of a template from a
// caller, gets [ErrReflection] and locks nothing.
func (v Value) Unwrap() (string, error) {
	if v.cell == nil {
		return "", ErrLocked
	}
	if calledByReflection() {
		return "", ErrReflection
	}
	s := v.cell.sealed.Swap(nil)
	if s == nil {
		return "", ErrLocked
	}
	return s.open(), nil
}

// IsLocked reports whether the secret was unwrapped before.
func (v Value) IsLocked() bool { return v.cell == nil || v.cell.sealed.Load() == nil }

// open builds the plain text in the memory of the string it returns, so that no second
// copy is left, and wipes its sources.
func (s *sealed) open() string {
	var plain strings.Builder
	shielded(func() {
		pad := s.pad()
		plain.Grow(len(pad))
		for i := range pad {
			plain.WriteByte(s.padded[i] ^ pad[i])
		}
		clear(pad)
		clear(s.padded)
	})
	return plain.String()
}
