package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxLongShare bounds the share of sentences of more than maxSentence words
	// in documents and Go comments, in per cent.
	maxLongShare = 2.0
	// minWantShare bounds the share of failure messages in tests that say what
	// the test wanted, in per cent.
	minWantShare = 80.0
)

// A share counts the members of a set that have a property.
type share struct{ having, all int }

func (s *share) percent() float64 { return 100 * float64(s.having) / float64(max(s.all, 1)) }

// shares holds the figures that are bounded for the whole repository.
type shares struct {
	long    share // sentences of more than maxSentence words
	want    share // calls of Errorf and Fatalf that say what the test wanted
	without []finding
	files   map[string]share // want, by file
}

// measure counts both shares over every file under version control.
func measure(root string) (shares, error) {
	files, err := tracked(root)
	if err != nil {
		return shares{}, err
	}
	total := shares{files: map[string]share{}}
	for _, path := range files {
		extension := filepath.Ext(path)
		if extension != ".go" && extension != ".md" || leftOut.MatchString(path) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, path))
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			return shares{}, err
		}
		if err := total.add(path, string(content)); err != nil {
			return shares{}, fmt.Errorf("%s: %w", path, err)
		}
	}
	return total, nil
}

func (s *shares) add(path, content string) error {
	texts, err := markdownTexts(content)
	if filepath.Ext(path) == ".go" {
		texts, err = goTexts(content)
		s.want.plus(s.failures(path, content))
	}
	for _, t := range texts {
		s.long.plus(longSentences(t.text))
	}
	return err
}

func (s *share) plus(other share) {
	s.having += other.having
	s.all += other.all
}

// longSentences leaves out fragments, such as cells of a table with a name.
func longSentences(text string) share {
	var s share
	for _, sentence := range sentences(text) {
		words := len(strings.Fields(sentence.text))
		if words < minString {
			continue
		}
		s.all++
		if words > maxSentence {
			s.having++
		}
	}
	return s
}

var wanted = regexp.MustCompile(`\b[Ww]ant(s|ed)?\b`)

// failures counts the failure messages of a Go file that uses the testing package.
func (s *shares) failures(path, source string) share {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil || !slices.ContainsFunc(parsed.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing"` }) {
		return share{}
	}
	var of share
	ast.Inspect(parsed, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || method.Sel.Name != "Errorf" && method.Sel.Name != "Fatalf" || isPackage(method.X, "fmt") {
			return true
		}
		of.all++
		if message := literal(call.Args[0]); wanted.MatchString(message) {
			of.having++
		} else {
			s.without = append(s.without, finding{files.Position(call.Pos()).Line, path + ": " + message})
		}
		return true
	})
	if of.all > 0 {
		s.files[path] = of
	}
	return of
}

func isPackage(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

// literal returns the text of a string literal, or of literals joined by a plus.
func literal(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(x.Value)
		return text
	case *ast.BinaryExpr:
		return literal(x.X) + literal(x.Y)
	default:
		return ""
	}
}

// bounds reports the shares that break their bounds.
func (s *shares) bounds() error {
	var errs []error
	if p := s.long.percent(); p >= maxLongShare {
		errs = append(errs, fmt.Errorf("%.2f %% of the sentences have more than %d words, want under %.0f %%", p, maxSentence, maxLongShare))
	}
	if p := s.want.percent(); p < minWantShare {
		errs = append(errs, fmt.Errorf("%.1f %% of the calls of Errorf and Fatalf in tests say what was wanted, want at least %.0f %%: `go run ./lint/words -shares` lists the files", p, minWantShare))
	}
	return errors.Join(errs...)
}

// print writes both shares, and the files with most messages that lack the wish.
func (s *shares) print(out io.Writer) error {
	_, err := fmt.Fprintf(out, "sentences of more than %d words: %d of %d, %.2f %% (bound: under %.0f %%)\n"+
		"Errorf and Fatalf that say what was wanted: %d of %d, %.1f %% (bound: at least %.0f %%)\n",
		maxSentence, s.long.having, s.long.all, s.long.percent(), maxLongShare,
		s.want.having, s.want.all, s.want.percent(), minWantShare)
	names := sortedKeys(s.files)
	lacking := func(name string) int { return s.files[name].all - s.files[name].having }
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(lacking(b), lacking(a)) })
	for _, name := range names {
		if n := lacking(name); n > 0 && err == nil {
			_, err = fmt.Fprintf(out, "%5d without in %s\n", n, name)
		}
	}
	return err
}
