// Package hint joins errors for a person to read, and finds the ways out that
// errors name by a method Hint.
package hint

import (
	"errors"
	"fmt"
	"strings"
)

// Join returns nil for no error, the error itself for one, and for several an
// error that shows all of them and their hints.
func Join(errs ...error) error {
	var all joined
	for _, err := range errs {
		switch several, ok := err.(joined); { //nolint:errorlint // only what Join has made is taken apart
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

// Hint lists all hints, each once.
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

// Of returns the way out that an error names, or an empty text.
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
