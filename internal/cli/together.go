package cli

import (
	"errors"
	"fmt"
	"strings"
)

// together joins errors: of no error nil, of one that error, and of more
// one that shows all of them and their hints.
func together(errs ...error) error {
	var all severalErrors
	for _, err := range errs {
		switch several, ok := err.(severalErrors); { //nolint:errorlint // only what together has made is taken apart
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

// severalErrors are what [together] joins.
type severalErrors []error

func (e severalErrors) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d things are wrong:", len(e))
	for _, err := range e {
		b.WriteString("\n" + strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	return b.String()
}

func (e severalErrors) Unwrap() []error { return e }

// Hint is all hints, each once.
func (e severalErrors) Hint() string {
	var hints []string
	seen := map[string]bool{}
	for _, err := range e {
		hint := hintOf(err)
		if hint != "" && !seen[hint] {
			seen[hint] = true
			hints = append(hints, hint)
		}
	}
	return strings.Join(hints, "\n")
}

// hintOf is the way out that an error names, if it names one.
func hintOf(err error) string {
	hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err)
	if !ok {
		return ""
	}
	return hinted.Hint()
}
