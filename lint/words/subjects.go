package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/qhubctl/qhubctl/internal/environ"
)

const (
	// subjectsSince is the last commit before the convention.
	subjectsSince = "879f9b22790aa9c86de98336563d7c39dd4b1677"
	maxSubject    = 72
)

// excepted are commits that were published while a wrong hash in subjectsSince kept
// the check from running.
var excepted = map[string]bool{
	"79a9d4bd833ca18a60dbbc1d71937f2cdf1e0868": true,
	"67c949ea2db28d1c7d92d7bb34c525e4cf134808": true,
	"39e78e42b5af3322c83555ebaede3eeb0494b11e": true,
	"a74139cb29cedb40106f90eb55932188021166fd": true,
}

var subject = regexp.MustCompile(`^[a-z0-9_.\-/*{},]+: [^A-Z\s].*[^.]$`)

// checkSubjects holds the commits since the convention to it. A checkout that
// does not have that commit, such as a shallow one, is not checked.
func checkSubjects(root string) error {
	if !knows(root, subjectsSince) {
		return nil
	}
	out, err := git(root, "log", "--no-merges", "--format=%H %s", subjectsSince+"..HEAD")
	if err != nil {
		return fmt.Errorf("read the commits: %w", err)
	}
	var errs []error
	for line := range strings.Lines(string(out)) {
		hash, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !excepted[hash] {
			errs = append(errs, checkSubject(hash, text))
		}
	}
	return errors.Join(errs...)
}

// knows reports whether a checkout has a commit.
func knows(root, commit string) bool {
	_, err := git(root, "cat-file", "-e", commit+"^{commit}")
	return err == nil
}

// git runs a command of git in a checkout, and returns what it prints.
func git(root string, args ...string) ([]byte, error) {
	return environ.Command(context.Background(), "git", append([]string{"-C", root}, args...)...).Output()
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
