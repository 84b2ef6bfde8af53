// Package hint joins errors for people to read, and finds the hints of errors: the
// ways out that their method Hint returns.
package hint

import (
	"errors"
	"fmt"
	"strings"
)

// Join ignores nil errors. It returns nil for no error, and a single error unchanged.
// For several it returns an error that shows all of them and their hints.
func Join(errs ...error) error {
	var all joined
	for _, err := range errs {
		switch several, ok := err.(joined); { //nolint:errorlint // Join flattens only its own errors
		case ok:
			all = append(all, several...)
		case err != nil:
			all = append(all, err)
		}
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	default:
		return all
	}
}

// joined are the errors that [Join] joins.
type joined []error

func (e joined) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d things are wrong:", len(e))
	for _, err := range e {
		b.WriteString("\n" + strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	return b.String()
}

func (e joined) Unwrap() []error { return e }

// Hint lists the hints of all errors, each once.
func (e joined) Hint() string {
	var hints []string
	seen := map[string]bool{}
	for _, err := range e {
		hint := Of(err)
		if hint != "" && !seen[hint] {
			seen[hint] = true
			hints = append(hints, hint)
		}
	}
	return strings.Join(hints, "\n")
}

// Of returns the hint of an error, or an empty text.
func Of(err error) string {
	hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !ok {
		return ""
	}
	return hinted.Hint()
}
