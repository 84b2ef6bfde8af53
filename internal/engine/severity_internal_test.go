package engine

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/execution"
)

const anyLevel = `(TRACE|DEBUG|INFO|SUCCESS|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)`

// severityPatterns say which lines name a severity.
var severityPatterns = []*regexp.Regexp{
	regexp.MustCompile(`^\d{4}-\d\d-\d\d[ T][\d:.,]+\S* *\| *` + anyLevel + ` *\|`),
	regexp.MustCompile(`^\[?` + anyLevel + `[\]:]`),
	regexp.MustCompile(`^\d{4}-\d\d-\d\d[ T][\d:.,]+\S*(?: +-)? +(?:\S+(?: +-)? +)?\[?` + anyLevel + `\b`),
	regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)? ` + anyLevel + `\b`),
	regexp.MustCompile(`^(?:time=\S+ )?level=` + anyLevel + `\b`),
	regexp.MustCompile(`^\{"time":"[^"]*","level":"` + anyLevel + `"`),
}

func severityByPatterns(line string) execution.Severity {
	head := line[:min(len(line), headLength)]
	for _, pattern := range severityPatterns {
		found := pattern.FindStringSubmatch(head)
		if found == nil {
			continue
		}
		for _, level := range levels {
			if level.name == found[1] {
				return level.severity
			}
		}
	}
	return ""
}

// TestSeverityProperty draws lines from pieces of the known forms.
func TestSeverityProperty(t *testing.T) {
	t.Parallel()
	pieces := rapid.SampledFrom([]string{
		"2026-01-31", "2026/01/31", "12:00:00", "12:00:00,123", ".5", "T", " ", "  ", "-", "|", "INFO", "WARNING", "WARN", "ERROR", "CRITICALLY",
		"[", "]", ":", "level=", "time=", `{"time":"`, `","level":"`, `"`, "name", "\t", "é", "x", "_", "0",
	})
	named := 0
	rapid.Check(t, func(r *rapid.T) {
		line := strings.Join(rapid.SliceOfN(pieces, 0, 14).Draw(r, "pieces"), "")
		line = rapid.SampledFrom([]string{
			"", "2026-01-31 12:00:00", "2026-01-31T12:00:00.1", "2026/01/31 12:00:00", "2026/01/31 12:00:00 INFO", "2026-01-31 12:00:00|INFO",
			"2026-01-31 12:00:00 - name - INFO", "INFO", "[INFO", "time=1 level=INFO", `{"time":"1","level":"INFO"`,
		}).Draw(r, "begin") + line
		want := severityByPatterns(line)
		if want != "" {
			named++
		}
		if got := severityOf(line, ""); got != want {
			r.Fatalf("severityOf(%q) = %q, want %q", line, got, want)
		}
	})
	if named == 0 {
		t.Error("no line names a severity")
	}
}

func FuzzSeverity(f *testing.F) {
	for _, line := range []string{"2026-01-31 12:00:00.123 | INFO     | m:f:1 - x", "INFO:x", "[ERROR] x", "2026-01-31 12:00:00,123 - n - WARNING - x", "2026/01/31 12:00:00.5 DEBUG x", "time=1 level=ERROR", `{"time":"x","level":"INFO"`} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if got, want := severityOf(line, ""), severityByPatterns(line); got != want {
			t.Errorf("severityOf(%q) = %q, want %q", line, got, want)
		}
	})
}

func BenchmarkSeverity(b *testing.B) {
	lines := []string{"2026-01-31 12:00:00.123 | INFO     | module:function:1 - some text of a line", "2026-01-31 12:00:00,123 - name - INFO - text", "INFO:root:text", "a line without any severity", "12 of 40 files were read"}
	b.Run("scanner", func(b *testing.B) {
		for b.Loop() {
			for _, line := range lines {
				_ = severityOf(line, "")
			}
		}
	})
	b.Run("patterns", func(b *testing.B) {
		for b.Loop() {
			for _, line := range lines {
				_ = severityByPatterns(line)
			}
		}
	})
}
