// Program figures writes measurements of benchmarks into the documents: the
// tables of docs/benchmarks.md between their marks, and docs/serving.svg. It
// reads the output of `go test -bench`; other tables and text stay.
//
//	make figures
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	docs := flag.String("docs", "../docs", "the folder of the documents")
	flag.Parse()
	if err := run(os.Stdin, *docs); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1) //nolint:forbidigo // main ends the program
	}
}

func run(in io.Reader, docs string) error {
	m, err := readMeasurements(in)
	if err != nil {
		return err
	}
	path := filepath.Join(docs, "benchmarks.md")
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, section := range []struct {
		name string
		text string
	}{
		{"serving", serving(m)}, {"go", goServices(m)}, {"growth", growth(m)}, {"budget", budget(m)},
	} {
		if section.text == "" {
			continue
		}
		if page, err = replace(page, section.name, section.text); err != nil {
			return err
		}
	}
	if chart := drawServing(m); chart != nil {
		if err := os.WriteFile(filepath.Join(docs, "serving.svg"), chart, 0o644); err != nil { //nolint:gosec // a document
			return err
		}
	}
	return os.WriteFile(path, page, 0o644) //nolint:gosec // a document
}

// replace puts text between the marks of a section.
func replace(page []byte, name, text string) ([]byte, error) {
	begin, end := fmt.Appendf(nil, "<!-- figures: %s -->\n", name), []byte("<!-- end -->\n")
	before, rest, found := bytes.Cut(page, begin)
	_, after, closed := bytes.Cut(rest, end)
	if !found || !closed {
		return nil, fmt.Errorf("the page has no place for %q: put %q and %q into it", name, bytes.TrimSpace(begin), bytes.TrimSpace(end))
	}
	return bytes.Join([][]byte{before, begin, []byte("\n" + text + "\n"), end, after}, nil), nil
}
