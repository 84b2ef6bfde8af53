package store

import (
	"fmt"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// Validate reports what an implementation refuses to write. Its errors, like
// those of the other Validate methods, match [ErrInvalid].
func (a NewExecution) Validate() error {
	e := a.Execution
	if _, err := execution.ParseID(string(e.ID)); err != nil {
		return fmt.Errorf("%w acceptance: %w", ErrInvalid, err)
	}
	switch {
	case e.ServiceID == "":
		return fmt.Errorf("%w acceptance: the execution names no service", ErrInvalid)
	case !e.Type.Valid():
		return fmt.Errorf("%w acceptance: %q is no type of an execution", ErrInvalid, string(e.Type))
	case !a.Secrets.WellFormed():
		// The last line of defence against a value written in the clear.
		return fmt.Errorf("%w acceptance: the secrets are not sealed", ErrInvalid)
	case a.Idempotency != nil && (a.Idempotency.Key == "" || len(a.Idempotency.MACs) == 0):
		return fmt.Errorf("%w acceptance: an idempotency key needs a key and a MAC", ErrInvalid)
	case a.Claim != nil && (a.Claim.Owner == "" || a.Claim.Lease <= 0):
		return fmt.Errorf("%w acceptance: a claim needs an owner and a lease", ErrInvalid)
	}
	return nil
}

// Validate reports a request that names no owner or no lease.
func (c ClaimRequest) Validate() error {
	if c.Owner == "" || c.Lease <= 0 {
		return fmt.Errorf("%w claim: it needs an owner and a lease", ErrInvalid)
	}
	return nil
}

// Validate reports a completion whose state is not final.
func (c FinishParams) Validate() error {
	if c.Owner == "" {
		return fmt.Errorf("%w completion: it needs an owner", ErrInvalid)
	}
	if !c.Status.Final() {
		return fmt.Errorf("%w completion: %s is not a final state", ErrInvalid, c.Status)
	}
	return nil
}
