// Package secretset prepares the secrets of one execution, for `run` and for a
// server. It checks each value and all of them together, warns of weak ones, and
// makes the maskers that mask them.
package secretset

import (
	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// A Set holds the secrets that an execution gets, and the other values that it must
// not show. The zero value is empty. It is not safe for concurrent use.
type Set struct {
	secrets      []runner.Secret
	values       []masking.Value
	warnings     []string
	total, parts int
}

// Add adds the value of a parameter. From then on the set owns the value. Add returns
// an error for a value that cannot be a secret; the caller adds the source to it.
func (s *Set) Add(p signature.Parameter, value plaintext.Bytes) error {
	s.secrets = append(s.secrets, runner.Secret{Env: p.Env, Value: value})
	s.total += value.Len()
	if err := plaintext.Check(value.Reveal()); err != nil {
		return err
	}
	s.parts += plaintext.Parts(value.Reveal())
	s.values = append(s.values, masking.Value{Named: plaintext.Named{Name: p.Name, Value: value}, Declared: true})
	if warning := masking.Warning("the secret "+p.Name, value.Reveal()); warning != "" {
		s.warnings = append(s.warnings, warning)
	}
	return nil
}

// Mask adds values that the execution does not get and must not show. In results, only
// values of parameters that the service declares are masked. The caller keeps the
// values.
func (s *Set) Mask(values []plaintext.Named, described *signature.Signature) {
	for _, value := range values {
		s.values = append(s.values, masking.Value{Named: value, Declared: value.Own || described.TakesVariable(value.Name)})
	}
}

// Empty reports whether there is nothing to mask.
func (s *Set) Empty() bool { return len(s.values) == 0 }

// Err returns an error if all secrets together are too large or have too many parts.
func (s *Set) Err() error {
	switch {
	case s.total > plaintext.MaxTotal:
		return plaintext.ErrTotal
	case s.parts > plaintext.MaxTotalParts:
		return plaintext.ErrTotalParts
	default:
		return nil
	}
}

// Warnings returns the warnings about weak secrets.
func (s *Set) Warnings() []string { return s.warnings }

// Secrets returns the secrets that the execution gets.
func (s *Set) Secrets() []runner.Secret { return s.secrets }

// Maskers makes the maskers of the execution, with copies of the values.
func (s *Set) Maskers() *masking.Maskers { return masking.New(s.values) }

// Clear wipes the secrets that the execution gets.
func (s *Set) Clear() {
	for _, secret := range s.secrets {
		secret.Value.Clear()
	}
	s.secrets = nil
}
