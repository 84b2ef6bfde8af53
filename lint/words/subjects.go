package main

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

const (
	// subjectsSince is the last commit of before the convention.
	subjectsSince = "879f9b2c"
	maxSubject    = 72
)

var subject = regexp.MustCompile(`^[a-z0-9_.\-/*{},]+: [^A-Z\s].*[^.]$`)

// checkSubjects holds the commits since the convention to it. A checkout that
// does not have that commit, such as a shallow one, is not checked.
func checkSubjects(root string) error {
	known := exec.Command("git", "-C", root, "cat-file", "-e", subjectsSince+"^{commit}").Run() == nil //nolint:noctx // ends at once
	if !known {
		return nil
	}
	out, err := exec.Command("git", "-C", root, "log", "--no-merges", "--format=%h %s", subjectsSince+"..HEAD").Output() //nolint:noctx // ends at once
	if err != nil {
		return fmt.Errorf("read the commits: %w", err)
	}
	var errs []error
	for line := range strings.Lines(string(out)) {
		hash, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		errs = append(errs, checkSubject(hash, text))
	}
	return errors.Join(errs...)
}

func checkSubject(hash, text string) error {
	switch {
	case !subject.MatchString(text):
		return fmt.Errorf("commit %s: %q is not `path/of/package: lower-case imperative`, without a period", hash, text)
	case len(text) > maxSubject:
		return fmt.Errorf("commit %s: the subject has %d characters, at most %d: %q", hash, len(text), maxSubject, text)
	default:
		return nil
	}
}
