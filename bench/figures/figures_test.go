package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const output = `goos: linux
cpu: Some CPU
BenchmarkServing/service=trivial/server=qhubctl/by=poll/callers=1-2   10  34.0 MB-server  11.0 cpu-ms/execution  200.0 executions/s  0 failures  4.0 p50-ms  8.0 p99-ms
BenchmarkServing/service=trivial/server=qhubctl/by=poll/callers=16-2  10  40.0 MB-server  2.0 cpu-ms/execution  1450 executions/s  0 failures  30.0 p50-ms  60.0 p99-ms
BenchmarkServing/service=trivial/server=qhub-serve-by-uvicorn/by=poll/callers=1-2   10  400.0 executions/s  3 failures  2.0 p50-ms  9.0 p99-ms
BenchmarkServing/service=trivial/server=qhub-serve-by-uvicorn/by=poll/callers=16-2  10  290.0 executions/s  0 failures  3.0 p50-ms  9.0 p99-ms
BenchmarkServing/service=numpy/server=qhubctl/by=poll/callers=1-2     10  5.5 p50-ms  8.0 p99-ms
some other line
`

const page = "before\n<!-- figures: serving -->\nwhat was there\n<!-- end -->\nafter\n<!-- figures: growth -->\nkept\n<!-- end -->\n"

func TestFigures(t *testing.T) {
	t.Parallel()
	docs := t.TempDir()
	path := filepath.Join(docs, "benchmarks.md")
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(strings.NewReader(output), docs); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n<!-- figures: serving -->\n", "\n<!-- end -->\nafter\n", "kept\n", "On a machine of 2 processors (Some CPU).",
		"| `qhubctl serve` | 4.00 · 8.00 | – · – | 30.0 · 60.0 | – · – |",
		"| `qhubctl serve` | 200 | – | 1,450 | – | 2.00 | 40.0 | – |",
		"| rate with 16 callers, beside `qhub-serve` run by uvicorn | 5.00 |", "| what importing numpy adds, ms | 1.5 |",
		"Executions failed: 3 of qhub-serve-by-uvicorn, trivial with 1 callers.",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page is\n%s\nwant %q in it", text, want)
		}
	}
	if strings.Contains(string(text), "what was there") {
		t.Error("the page has what it had")
	}
	chart, err := os.ReadFile(filepath.Join(docs, "serving.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(chart, new(struct{ XMLName xml.Name })); err != nil {
		t.Errorf("the chart does not parse: %v, want well-formed XML", err)
	}
}

// TestRefused checks that a section without a mark is an error that changes no page.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ output, page, want string }{
		"no results": {"PASS\n", page, "there are no results"},
		"no place":   {output, "a page without marks\n", "put \"<!-- figures: serving -->\""},
		"no end":     {output, "<!-- figures: serving -->\n", "put \"<!-- figures: serving -->\""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docs := t.TempDir()
			path := filepath.Join(docs, "benchmarks.md")
			if err := os.WriteFile(path, []byte(c.page), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := run(strings.NewReader(c.output), docs); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("run() = %v, want an error with %q", err, c.want)
			}
			if left, err := os.ReadFile(path); err != nil || string(left) != c.page {
				t.Errorf("after a refusal the page is %q (%v), want it unchanged", left, err)
			}
		})
	}
}
