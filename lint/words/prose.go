package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// maxSentence is the number of words above which a sentence is a finding.
const maxSentence = 35

// A text is a piece of prose and the line of the file that it begins at.
type text struct {
	line int
	text string
}

// A finding is one place that should be written otherwise.
type finding struct {
	line    int
	problem string
}

// A rule is an entry of the vocabulary.
type rule struct {
	pattern *regexp.Regexp
	instead string
}

//go:embed vocabulary.txt
var vocabulary string

func readVocabulary() ([]rule, error) {
	var rules []rule
	for line := range strings.Lines(vocabulary) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		pattern, instead, ok := strings.Cut(line, " => ")
		if !ok {
			return nil, fmt.Errorf("vocabulary: %q is not PATTERN => WORDS", line)
		}
		compiled, err := regexp.Compile(`(?i)\b(?:` + pattern + `)\b`)
		if err != nil {
			return nil, fmt.Errorf("vocabulary: %w", err)
		}
		rules = append(rules, rule{compiled, instead})
	}
	return rules, nil
}

// extractors turn a file into texts, by the ending of its name.
var extractors = map[string]func(string) ([]text, error){
	".go": goTexts, ".md": markdownTexts, ".py": pythonTexts, ".html": htmlTexts,
}

// left out are texts of others, and this linter's own.
var leftOut = regexp.MustCompile(`^(lint/words/|internal/web/assets/|CHANGELOG\.md$|conformance/)|/testdata/.*\.golden$`)

// check returns the findings of every file under version control.
func check(root string) (map[string][]finding, error) {
	rules, err := readVocabulary()
	if err != nil {
		return nil, err
	}
	files, err := tracked(root)
	if err != nil {
		return nil, err
	}
	found := map[string][]finding{}
	for _, path := range files {
		extract := extractors[filepath.Ext(path)]
		if extract == nil || leftOut.MatchString(path) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, path))
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			return nil, err
		}
		texts, err := extract(string(content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if findings := judge(texts, rules); len(findings) > 0 {
			found[path] = findings
		}
	}
	return found, nil
}

// tracked lists the files of the repository, new ones included.
func tracked(root string) ([]string, error) {
	out, err := git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, fmt.Errorf("list the files of the repository: %w", err)
	}
	files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	slices.Sort(files)
	return slices.Compact(files), nil
}

// judge applies the rules, and the bound on the length of sentences.
func judge(texts []text, rules []rule) []finding {
	var findings []finding
	for _, t := range texts {
		for _, r := range rules {
			for _, at := range r.pattern.FindAllStringIndex(t.text, -1) {
				findings = append(findings, finding{
					t.line + strings.Count(t.text[:at[0]], "\n"),
					fmt.Sprintf("%q: write: %s", t.text[at[0]:at[1]], r.instead),
				})
			}
		}
		for _, s := range sentences(t.text) {
			if n := len(strings.Fields(s.text)); n > maxSentence {
				findings = append(findings, finding{
					t.line + s.line, fmt.Sprintf("a sentence of %d words, at most %d: %.60s…", n, maxSentence, strings.Join(strings.Fields(s.text), " ")),
				})
			}
		}
	}
	slices.SortStableFunc(findings, func(a, b finding) int { return cmp.Compare(a.line, b.line) })
	return findings
}

// sentenceEnd is a mark that ends a sentence, or a line that begins a new
// paragraph, an item of a list or a cell of a table.
var sentenceEnd = regexp.MustCompile(`[.!?:;]["')\]]*\s+|\n\s*\n|\n\s*(?:[-*#>]|\d+[.)])\s|\|`)

// sentences splits a text; the line of each counts from the text's first.
func sentences(s string) []text {
	var all []text
	start := 0
	add := func(end int) {
		all = append(all, text{strings.Count(s[:start], "\n"), s[start:end]})
	}
	for _, at := range sentenceEnd.FindAllStringIndex(s, -1) {
		add(at[1])
		start = at[1]
	}
	add(len(s))
	return all
}
