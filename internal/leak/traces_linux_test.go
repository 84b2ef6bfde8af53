package leak_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/leak"
)

// left is the data of an ended execution.
type left struct {
	id       string
	canaries []leak.Canary
	log      string
	result   string
	files    map[string]string
	// between is how many lines of another stream may split a line of the log.
	between int
}

// check compares the data of an execution with the traces of its ways: that the secrets
// were there, and the text in their place.
func (f *findings) check(k sdk, m mode, l *left) {
	traces := map[string]trace{}
	for _, w := range channels {
		traces[w.name] = w.leaves(k)
	}
	lines := strings.Split(l.log, "\n")
	for _, c := range l.canaries {
		name := parameter(c)
		arrived := fmt.Sprintf("arrived %s %x", name, sha256.Sum256([]byte(c.Value)))
		if c.Cell != undeclared && !strings.Contains(l.log, arrived) && !strings.Contains(l.files["arrived"], arrived) {
			f.complain(c.Cell, fmt.Sprintf("%s has not arrived: the log of %q has no %q", name, m, arrived))
			continue
		}
		if missing := missingOf(l, lines, traces[c.Cell], name); missing != "" {
			f.complain(c.Cell, name+": "+missing)
		}
	}
}

// checkDescription checks the place of secrets in a description: it holds a mask, or
// nothing if a sandbox has kept the service from reading them.
func (f *findings) checkDescription(canaries []leak.Canary, document []byte) {
	for _, c := range canaries {
		_, after, found := strings.Cut(string(document), parameter(c))
		_, value, stands := strings.Cut(after, "see ")
		if !found || !stands || !strings.HasPrefix(value, mask) && !strings.HasPrefix(value, `"`) && !strings.HasPrefix(value, "'") {
			f.complain(c.Cell, parameter(c)+": nothing masked is in the description")
		}
	}
}

const mask = "[redacted]"

// maskedNear reports whether a mask stands close behind a name.
func maskedNear(text, name string) bool {
	const near = 250
	for rest, found := text, true; found; {
		if _, rest, found = strings.Cut(rest, name); strings.Contains(rest[:min(len(rest), near)], mask) {
			return true
		}
	}
	return false
}

// missingOf names the missing part of the trace that a secret should have left.
func missingOf(l *left, lines []string, want trace, name string) string {
	// A mask may take the line end before it and the first letter behind that with it,
	// where these may be a part of the secret.
	inLine := func(text string) bool {
		for i, line := range lines {
			if strings.Contains(line, name[1:]) && strings.Contains(strings.Join(lines[i:min(len(lines), i+1+l.between)], "\n"), text) {
				return true
			}
		}
		return false
	}
	switch want {
	case inLog:
		if !inLine(mask) {
			return "nothing masked is in the log"
		}
	case ifThere:
		if strings.Contains(l.log, name) && !inLine(mask) {
			return "nothing masked is in the log"
		}
	case inPage: // see checkDescription
	case inPool, notWritten: // see checkPool
	case neverClear: // see leakStored
	case notThere:
		if !inLine(name[1:] + ": absent") {
			return "the service has found it"
		}
	case gone:
		if strings.HasPrefix(name, "killed_files") {
			break
		}
		if !inLine(name[1:] + ": done") {
			return "the service has not written it"
		}
	case inResult, inProblem:
		if !maskedNear(l.result, name) {
			return "nothing masked is in the result"
		}
	case inFile:
		for file, text := range l.files {
			if strings.HasPrefix(file, name+".") || file == "output.json" {
				if strings.Contains(text, name+": ") && strings.Contains(text, mask) {
					return ""
				}
			}
		}
		return "nothing masked is in the file"
	case withheld:
		for file := range l.files {
			if strings.HasPrefix(file, name+".") {
				return "the file " + file + " is there"
			}
		}
		if !inLine("withheld") {
			return "the log does not say that the file is withheld"
		}
	case inName:
		for file := range l.files {
			if strings.HasPrefix(file, name+" "+mask) {
				return ""
			}
		}
		return "no file with a masked name is there"
	case nowhere:
		if slices.ContainsFunc(lines, func(line string) bool { return strings.HasSuffix(line, "the limit of a core dump is 0") }) {
			return ""
		}
		return "a core dump could be made"
	}
	return ""
}
