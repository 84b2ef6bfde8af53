package testenv

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update-docs", false, "write the documents that tests make")

// Document compares a document with the text that a test makes of the program: a
// difference fails the test, or is written with -update-docs.
func Document(t testing.TB, path, want string) {
	t.Helper()
	written, err := os.ReadFile(path)
	switch {
	case err == nil && string(written) == want:
	case *updateDocs:
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil { //nolint:gosec // it is for everyone to read
			t.Fatal(err)
		}
	case err != nil:
		t.Fatal(err)
	default:
		t.Errorf("%s differs from the program, want it as `make docs` writes it", path)
	}
}

// DocumentPart is [Document] of the part of a page between two lines,
// "<!-- name: written by make docs -->" and "<!-- end of name -->".
func DocumentPart(t testing.TB, path, name, want string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+": written by make docs -->\n", "<!-- end of "+name+" -->\n"
	before, rest, begins := strings.Cut(string(page), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		t.Fatalf("%s has no place for the %s, want the two marks", path, name)
	}
	Document(t, path, before+begin+"\n"+want+"\n"+end+after)
}
