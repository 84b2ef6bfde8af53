package metrics_test

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/metrics"
	"github.com/qhubctl/qhubctl/internal/metrics/metricstest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

//go:generate go test . -run ^TestPage$ -update-docs

// TestPage compares the page about metrics with the program.
func TestPage(t *testing.T) {
	shown := read(t, metrics.New("1", "c"), sources(nil, "a reason"))
	testenv.DocumentPart(t, filepath.Join("..", "..", "docs", "metrics.md"), "metrics", table(shown))
}

// table lists each family, our own first, with the possible values of its
// labels.
func table(page *metricstest.Page) string {
	var b strings.Builder
	b.WriteString("| Name | Type | |\n|---|---|---|\n")
	ours := func(name string) int { return strings.Index("qhubctl_go_process_", name[:strings.Index(name, "_")+1]) }
	for _, name := range slices.SortedFunc(maps.Keys(metrics.Help), func(a, b string) int {
		return cmp.Or(cmp.Compare(ours(a), ours(b)), cmp.Compare(a, b))
	}) {
		fmt.Fprintf(&b, "| `%s` | %s | %s%s |\n", name, page.Types[name], metrics.Help[name], labels(page, name))
	}
	return b.String()
}

// labels are those with a set of values: for other labels, and for buckets, the
// name says enough.
func labels(page *metricstest.Page, name string) string {
	values := map[string][]string{}
	for series := range page.Samples {
		inside, ok := strings.CutPrefix(series, name+"{")
		if !ok || !strings.HasSuffix(name, "_total") {
			continue
		}
		for pair := range strings.SplitSeq(strings.TrimSuffix(inside, "}"), ",") {
			label, value, _ := strings.Cut(pair, "=")
			values[label] = append(values[label], strings.Trim(value, `"`))
		}
	}
	var text strings.Builder
	for _, label := range slices.Sorted(maps.Keys(values)) {
		slices.Sort(values[label])
		fmt.Fprintf(&text, " `%s`: `%s`.", label, strings.Join(slices.Compact(values[label]), "`, `"))
	}
	return text.String()
}
