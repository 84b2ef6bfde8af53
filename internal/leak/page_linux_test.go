package leak_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
)

//go:generate go test . -run ^TestPage$ -update-docs

var updateDocs = flag.Bool("update-docs", false, "write the tables of docs/security.md anew")

const (
	pageBegin = "<!-- Made from the matrix by `make docs`; a test holds them together. -->\n"
	pageEnd   = "<!-- The end of what is made from the matrix. -->\n"
)

// TestPage holds the page about security and the matrix together.
func TestPage(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "security.md")
	page := read(t, path)
	before, rest, found := strings.Cut(page, pageBegin)
	written, after, ends := strings.Cut(rest, pageEnd)
	if !found || !ends {
		t.Fatalf("%s has no place for the matrix", path)
	}
	want := tables()
	switch {
	case written == want:
	case *updateDocs:
		if err := os.WriteFile(path, []byte(before+pageBegin+want+pageEnd+after), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s does not say what the matrix says; write it anew with `make docs`", path)
	}
}

// tables are those of the page.
func tables() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d ways, each with %d secrets of its own in every kit; \"–\" where a kit has no such way.\n\n", len(ways), len(leak.Shapes))
	b.WriteString("| Way")
	for _, k := range kits {
		b.WriteString(" | " + string(k))
	}
	b.WriteString(" |\n|---|---|---|---|\n")
	for _, w := range ways {
		b.WriteString("| " + w.says)
		for _, k := range kits {
			if w.of(k) {
				b.WriteString(" | " + string(w.leaves(k)))
			} else {
				b.WriteString(" | –")
			}
		}
		b.WriteString(" |\n")
	}
	b.WriteString("\n| What is broken on purpose | The way that is found out first |\n|---|---|\n")
	for _, s := range sabotages {
		for _, w := range ways {
			if w.name == s.way {
				fmt.Fprintf(&b, "| %s | %s, %s |\n", s.layer, w.says, cmp.Or(s.kit, ours))
			}
		}
	}
	return b.String() + "\n"
}
