package vault

import (
	"errors"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/privatefile"
)

// The errors of this package, to be matched with errors.Is. Their texts never
// hold a value or a key.
var (
	// ErrTampered says that the sealed secrets differ from those that were
	// sealed for this owner: they were changed, cut, or moved from elsewhere.
	ErrTampered = errors.New("the sealed secrets were changed or belong to something else")
	// ErrUnknownKey says that the keyring lacks the master key that sealed. The
	// error is a [KeyError].
	ErrUnknownKey = errors.New("sealed with a master key that is not at hand")
	// ErrKeyFormat says that a key file or variable cannot be understood.
	ErrKeyFormat = errors.New("the master key cannot be read")
	// ErrPermissions says that others than its owner may read the key file.
	ErrPermissions = privatefile.ErrPermissions
	// ErrTooLarge says that a set of secrets exceeds the form's limits.
	ErrTooLarge = errors.New("too large to be sealed")
)

// KeyError names the master key that is missing. It matches [ErrUnknownKey].
type KeyError struct {
	Version uint32
	ID      string // fingerprint of the key that is needed
	// Replaced says that there is a key of this version, but another one.
	Replaced bool
}

func (e *KeyError) Error() string {
	if e.Replaced {
		return fmt.Sprintf("%v: version %d is another key than the one that sealed (%s); "+
			"put the former key file or variable back, nothing is lost", ErrUnknownKey, e.Version, e.ID)
	}
	return fmt.Sprintf("%v: version %d (%s); put that version back, nothing is lost", ErrUnknownKey, e.Version, e.ID)
}

// Is matches ErrUnknownKey.
func (e *KeyError) Is(target error) bool { return target == ErrUnknownKey }
