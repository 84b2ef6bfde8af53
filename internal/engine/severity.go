package engine

import (
	"regexp"
	"strings"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// headLength is how many bytes of a line are searched for its severity.
const headLength = 256

const levels = `(TRACE|DEBUG|INFO|SUCCESS|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)`

// prefixes match the forms in which programs write the severity at the beginning
// of a line. A severity elsewhere in the line does not count.
var prefixes = []*regexp.Regexp{
	// loguru, and the SDK without it: 2026-01-31 12:00:00.123 | INFO     | module:function:1 - text
	regexp.MustCompile(`^\d{4}-\d\d-\d\d[ T][\d:.,]+\S* *\| *` + levels + ` *\|`),
	// logging.basicConfig: INFO:name:text, and the forms [INFO] text and INFO: text of others
	regexp.MustCompile(`^\[?` + levels + `[\]:]`),
	// logging with a time and perhaps a name: 2026-01-31 12:00:00,123 - name - INFO - text; the same without " - "
	regexp.MustCompile(`^\d{4}-\d\d-\d\d[ T][\d:.,]+\S*(?: +-)? +(?:\S+(?: +-)? +)?\[?` + levels + `\b`),
	// log/slog of Go: 2026/01/31 12:00:00 INFO text
	regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)? ` + levels + `\b`),
	// log/slog, text and JSON: time=… level=INFO, {"time":"…","level":"INFO"
	regexp.MustCompile(`^(?:time=\S+ )?level=` + levels + `\b`),
	regexp.MustCompile(`^\{"time":"[^"]*","level":"` + levels + `"`),
}

var severities = map[string]execution.Severity{
	"TRACE": execution.Debug, "DEBUG": execution.Debug,
	"INFO":    execution.Info,
	"SUCCESS": execution.Notice, "NOTICE": execution.Notice,
	"WARN": execution.Warning, "WARNING": execution.Warning,
	"ERROR": execution.Error, "CRITICAL": execution.Error, "FATAL": execution.Error,
}

// beginnings are the first characters of the prefixes. Most lines begin with none
// of them, so they need no match.
const beginnings = "0123456789[{tlTDISNWECF"

// severityOf returns the severity that a log line names, or otherwise if it names
// none.
func severityOf(line string, otherwise execution.Severity) execution.Severity {
	head := line[:min(len(line), headLength)]
	if !strings.ContainsAny(head[:min(len(head), 1)], beginnings) {
		return otherwise
	}
	for _, prefix := range prefixes {
		if found := prefix.FindStringSubmatch(head); found != nil {
			return severities[found[1]]
		}
	}
	return otherwise
}
