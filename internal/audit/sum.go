package audit

import (
	"crypto/sha256"
	"crypto/sha3"
	"encoding/binary"
	"fmt"
	"slices"
)

// sumWords is how many words of 16 bits a [Sum] has: those of LtHash (Bellare and
// Micciancio; Lewi and others), whose sums cannot be forged in practice.
const sumWords = 1024

// A Sum is a hash of a set of values that changes with the set, without the others: a
// value is added or taken away in some microseconds. The zero value is of the empty set.
type Sum [sumWords]uint16

// Add adds a value, or takes it away.
func (s *Sum) Add(value []byte, added bool) {
	var text [2 * sumWords]byte
	h := sha3.NewSHAKE256()
	_, _ = h.Write(value) // never fails
	_, _ = h.Read(text[:])
	for i := range s {
		word := binary.LittleEndian.Uint16(text[2*i:])
		if added {
			s[i] += word
		} else {
			s[i] -= word
		}
	}
}

// Join adds all values of another sum.
func (s *Sum) Join(other *Sum) {
	for i := range s {
		s[i] += other[i]
	}
}

// Bytes is the form of a sum in a store.
func (s *Sum) Bytes() []byte {
	text := make([]byte, 0, 2*sumWords)
	for _, word := range s {
		text = binary.LittleEndian.AppendUint16(text, word)
	}
	return text
}

// SumOf reads the form of [Sum.Bytes].
func SumOf(text []byte) (s Sum, ok bool) {
	if len(text) != 2*sumWords {
		return s, false
	}
	for i := range s {
		s[i] = binary.LittleEndian.Uint16(text[2*i:])
	}
	return s, true
}

// SealedForm says what the sum of a [Sealed] is of: the rows of stored secrets and of other
// sealed values. That of form 1 was of the values of stored secrets only.
const SealedForm = 2

// Sealed vouches for stored secrets and other sealed values as a set.
type Sealed struct {
	Form int
	// Changes counts the changes of the set.
	Changes int64
	Sum     Sum
	// Key is the id of the key that has signed. Empty: it is not signed.
	Key       string
	Signature []byte
}

func (s *Sealed) statement() []byte {
	return fmt.Appendf(nil, "qhubctl sealed values %d\n%d\n%x\n", s.Form, s.Changes, sha256.Sum256(s.Sum.Bytes()))
}

// Sign signs the set.
func (s *Sealed) Sign(signer Signer) (err error) {
	if s.Key, s.Signature, err = signer.Sign(s.statement()); err != nil {
		return fmt.Errorf("sign the sealed values: %w", err)
	}
	return nil
}

// Signed reports whether one of the keys has signed the set.
func (s *Sealed) Signed(keys []Key) bool {
	return slices.ContainsFunc(keys, func(k Key) bool { return k.ID == s.Key && k.verifies(s.statement(), s.Signature) })
}

// Check returns an error that matches [ErrBroken] unless one of the keys has signed the
// set, and it is the one that is there. Heads are those of the audit log.
func (s *Sealed) Check(found Sum, keys []Key, heads []Head) error {
	if !s.Signed(keys) {
		return fmt.Errorf("%w: the sum of the sealed values has no valid signature", ErrBroken)
	}
	for _, h := range heads {
		if h.Sealed > s.Changes {
			return fmt.Errorf("%w: the sealed values are an old copy, of change %d; the log of account %s names change %d", ErrBroken, s.Changes, h.Tenant, h.Sealed)
		}
	}
	if found != s.Sum {
		return fmt.Errorf("%w: stored secrets or sealed values were changed, added or removed", ErrBroken)
	}
	return nil
}
