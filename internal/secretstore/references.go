package secretstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// References finds values in other stores. It is safe for concurrent use.
type References interface {
	// Check returns an error unless a text is a reference that a tenant may use. It
	// fetches nothing.
	Check(tenant, text string) error
	// Resolve fetches the value of a reference for a tenant. Its errors hold nothing of
	// the value. The caller clears the value.
	Resolve(ctx context.Context, tenant, text string) (plaintext.Bytes, error)
}

// A ReferenceError says that the value of a stored reference could not be fetched.
type ReferenceError struct {
	// Parameter takes the secret.
	Parameter string
	// Tenant may read the reference: the secret belongs to it.
	Tenant string
	// Err names the reference, and nothing of a value.
	Err error
}

func (e *ReferenceError) Error() string {
	return fmt.Sprintf("fetch the secret %s: %v", e.Parameter, e.Err)
}

func (e *ReferenceError) Unwrap() error { return e.Err }

// Public describes the error for the caller of an execution. Only the tenant of the secret
// learns the reference.
func (e *ReferenceError) Public(tenant string) string {
	if tenant == e.Tenant {
		return fmt.Sprintf("The secret %s could not be fetched: %v.", e.Parameter, e.Err)
	}
	return fmt.Sprintf("The secret %s, which the owner of the service keeps in another store, could not be fetched.", e.Parameter)
}

// checkReference returns an error unless a secret may be a reference.
func (s *Service) checkReference(place Place, text string) error {
	if s.References == nil {
		return invalid("reference: this server resolves none")
	}
	if err := s.References.Check(place.Tenant, text); err != nil {
		return invalid("reference: %v", err)
	}
	return nil
}

// A reference is the text of a version that is for a parameter.
type reference struct {
	parameter, text string
	place           Place
}

// resolve fetches the values of references at the same time, and puts them where the
// parameters have theirs.
func (s *Service) resolve(ctx context.Context, all []reference, opened map[string]Opened) error {
	if len(all) == 0 {
		return nil
	}
	values, errs := make([]plaintext.Bytes, len(all)), make([]error, len(all))
	var fetches sync.WaitGroup
	for i, r := range all {
		fetches.Go(func() { values[i], errs[i] = s.value(ctx, r) })
	}
	fetches.Wait()
	var first error
	for i, r := range all {
		if errs[i] != nil && first == nil {
			first = &ReferenceError{r.parameter, r.place.Tenant, errs[i]}
		}
		opened[r.parameter] = Opened{values[i], opened[r.parameter].From, r.place.Tenant} // the caller clears all if one failed
	}
	return first
}

func (s *Service) value(ctx context.Context, r reference) (plaintext.Bytes, error) {
	if s.References == nil {
		return plaintext.Bytes{}, errNoReferences
	}
	return s.References.Resolve(ctx, r.place.Tenant, r.text)
}

var errNoReferences = errors.New("this server resolves no references")
