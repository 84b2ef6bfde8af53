package build

import (
	"errors"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// CheckOwnSecrets checks the values on this machine for the secrets of the service. It
// refuses values that cannot be secrets, and warns of weak ones.
func CheckOwnSecrets(finder *secretref.Finder, described *signature.Signature, warn func(format string, args ...any)) error {
	var refused []error
	for _, p := range described.Of(signature.Secret) {
		found, ok := finder.Find(p)
		if !ok {
			continue
		}
		refused = append(refused, found.Check(p.Name))
		if warning := masking.Warning("the secret "+p.Name, found.Value.Reveal()); warning != "" {
			warn("%s", warning)
		}
	}
	for _, warning := range UntakenWarnings(finder, described) {
		warn("%s", warning)
	}
	return errors.Join(refused...)
}

// UntakenWarnings returns warnings about variables whose names mark them as secrets and
// that the service does not declare. Logs mask their values, too.
func UntakenWarnings(finder *secretref.Finder, described *signature.Signature) []string {
	var warnings []string
	finder.Each(func(name, from string, value plaintext.Bytes) {
		who := fmt.Sprintf("%s from %s, which the service does not take,", name, from)
		switch {
		case described.TakesVariable(name) || value.Len() == 0:
		case value.Len() > plaintext.MaxSize:
			warnings = append(warnings, fmt.Sprintf("%s %v and is not masked", who, plaintext.ErrTooLarge))
		default:
			if warning := masking.Warning(who, value.Reveal()); warning != "" {
				warnings = append(warnings, warning)
			}
		}
	})
	return warnings
}
