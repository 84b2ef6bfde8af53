package main

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"regexp"
	"strconv"
	"strings"
)

// minString is how many words a string literal needs to count as prose.
const minString = 4

// goTexts returns the comments of a Go file and its longer string literals.
func goTexts(source string) ([]text, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		if _, ok := err.(scanner.ErrorList); ok { //nolint:errorlint // the parser returns it unwrapped
			return nil, nil // a file of a test that shall not compile
		}
		return nil, err
	}
	var texts []text
	for _, group := range parsed.Comments {
		texts = append(texts, text{files.Position(group.Pos()).Line, withoutCode(group.Text())})
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		value, err := strconv.Unquote(literal.Value)
		if err == nil && isProse(value) {
			texts = append(texts, text{files.Position(literal.Pos()).Line, withoutCode(value)})
		}
		return true
	})
	return texts, nil
}

var (
	word = regexp.MustCompile(`(?:^|\s)[A-Za-z][a-z']*(?:$|[\s.,:;)])`)
	code = regexp.MustCompile(`[{}<>$=\\]|\n\t|SELECT |CREATE |INSERT |import `)
)

// isProse tells a sentence from code, queries and markup.
func isProse(s string) bool {
	return len(strings.Fields(s)) >= minString && len(word.FindAllString(s, -1)) >= 2 && !code.MatchString(s)
}

var (
	fence      = regexp.MustCompile("(?s)(?:^|\n)[ \t]*```.*?\n[ \t]*```")
	inline     = regexp.MustCompile("`[^`\n]*`")
	target     = regexp.MustCompile(`\]\([^)\n]*\)|\]\[[^\]\n]*\]`)
	tag        = regexp.MustCompile(`(?s)<!--.*?-->|<[^>]*>`)
	indented   = regexp.MustCompile(`(?m)^(?:\t| {4,})[^\n]*$`)
	scriptTags = regexp.MustCompile(`(?s)<(script|style)\b.*?</(?:script|style)>`)
)

// blank replaces all but line ends, so that lines keep their numbers.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return ' '
	}, s)
}

// withoutCode leaves out quoted code; one word takes its place.
func withoutCode(s string) string {
	s = indented.ReplaceAllStringFunc(s, blank)
	return inline.ReplaceAllString(s, "CODE")
}

func markdownTexts(source string) ([]text, error) {
	s := fence.ReplaceAllStringFunc(source, blank)
	s = tag.ReplaceAllStringFunc(s, blank)
	s = inline.ReplaceAllString(s, "CODE")
	return []text{{1, target.ReplaceAllString(s, "]")}}, nil
}

func htmlTexts(source string) ([]text, error) {
	s := scriptTags.ReplaceAllStringFunc(source, blank)
	return []text{{1, tag.ReplaceAllStringFunc(s, func(t string) string { return "|" + blank(t) })}}, nil
}

var (
	docstring = regexp.MustCompile(`(?s)"""(.*?)"""`)
	comment   = regexp.MustCompile(`(?m)^(?:[^"'\n#]|"[^"\n]*"|'[^'\n]*')*#[ ]([^\n]*)$`)
)

// pythonTexts returns docstrings and comments. Lines of comments that follow
// each other are one text.
func pythonTexts(source string) ([]text, error) {
	var texts []text
	for _, at := range docstring.FindAllStringSubmatchIndex(source, -1) {
		texts = append(texts, text{1 + strings.Count(source[:at[2]], "\n"), withoutCode(source[at[2]:at[3]])})
	}
	last := -1
	for _, at := range comment.FindAllStringSubmatchIndex(docstring.ReplaceAllStringFunc(source, blank), -1) {
		line := 1 + strings.Count(source[:at[2]], "\n")
		s := inline.ReplaceAllString(source[at[2]:at[3]], "CODE")
		if line == last+1 {
			texts[len(texts)-1].text += "\n" + s
		} else {
			texts = append(texts, text{line, s})
		}
		last = line
	}
	return texts, nil
}
