package leak_test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

//go:generate go test . -run ^TestPage$ -update-docs

// TestPage compares the page about security with the matrix.
func TestPage(t *testing.T) {
	t.Parallel()
	testenv.DocumentPart(t, filepath.Join("..", "..", "docs", "security.md"), "matrix", tables())
}

// tables are the tables of the page.
func tables() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d ways, each with %d separate secrets in every SDK; \"–\" where an SDK has no such way.\n\n", len(channels), len(leak.Shapes))
	b.WriteString("| Way")
	for _, k := range sdks {
		b.WriteString(" | " + string(k))
	}
	b.WriteString(" |\n|---|---|---|---|\n")
	for _, w := range channels {
		b.WriteString("| " + w.says)
		for _, k := range sdks {
			if w.of(k) {
				b.WriteString(" | " + string(w.leaves(k)))
			} else {
				b.WriteString(" | –")
			}
		}
		b.WriteString(" |\n")
	}
	b.WriteString("\n| Way into a data pool of a platform | Python |\n|---|---|\n")
	for _, w := range poolChannels {
		fmt.Fprintf(&b, "| %s | %s |\n", w.says, w.trace)
	}
	b.WriteString("\n| Stored secret of a platform | In answers, logs, results, the audit log and its exports, backups, restores, and all files |\n|---|---|\n")
	for _, w := range storedChannels {
		fmt.Fprintf(&b, "| %s | %s |\n", w.says, w.trace)
	}
	b.WriteString("\n| Broken on purpose | The way that shows it first |\n|---|---|\n")
	for _, s := range sabotages {
		for _, w := range slices.Concat(channels, poolChannels, storedChannels) {
			if w.name == s.way {
				fmt.Fprintf(&b, "| %s | %s, %s |\n", s.layer, w.says, cmp.Or(s.sdk, ours))
			}
		}
	}
	return b.String()
}
