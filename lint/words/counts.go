package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// countsFile holds a line "COUNT PATH" for each file with findings.
const countsFile = "lint/words/counts.txt"

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// readCounts returns the recorded counts; a missing file records none.
func readCounts(path string) (map[string]int, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return map[string]int{}, nil
	}
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(text)) {
		number, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		count, err := strconv.Atoi(number)
		if !ok || err != nil {
			return nil, fmt.Errorf("%s: %q is not COUNT PATH", path, strings.TrimSpace(line))
		}
		counts[name] = count
	}
	return counts, nil
}

// compare reports the files whose count differs from the recorded one.
func compare(found map[string][]finding, recorded map[string]int) error {
	var errs []error
	for _, path := range sortedKeys(found) {
		findings := found[path]
		switch before := recorded[path]; {
		case len(findings) > before:
			lines := make([]string, len(findings))
			for i, f := range findings {
				lines[i] = fmt.Sprintf("\t%s:%d: %s", path, f.line, f.problem)
			}
			errs = append(errs, fmt.Errorf("%s has %d findings, recorded are %d; docs/naming.md and lint/words/vocabulary.txt say what to write instead:\n%s",
				path, len(findings), before, strings.Join(lines, "\n")))
		case len(findings) < before:
			errs = append(errs, fmt.Errorf("%s has %d findings, recorded are %d: run `make words` to record the fall", path, len(findings), before))
		}
	}
	for _, path := range sortedKeys(recorded) {
		if _, ok := found[path]; !ok {
			errs = append(errs, fmt.Errorf("%s has no findings, recorded are %d: run `make words` to record the fall", path, recorded[path]))
		}
	}
	return errors.Join(errs...)
}

// record writes the counts that have fallen. It refuses to record a rise.
func record(path string, found map[string][]finding, recorded map[string]int) error {
	if len(recorded) > 0 {
		for name, findings := range found {
			if len(findings) > recorded[name] {
				return compare(found, recorded)
			}
		}
	}
	var b strings.Builder
	for _, name := range sortedKeys(found) {
		if n := len(found[name]); n > 0 {
			fmt.Fprintf(&b, "%d %s\n", n, name)
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644) //nolint:gosec // a file of the repository
}
