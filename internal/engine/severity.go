package engine

import (
	"strings"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// headLength is how many bytes of a line are searched for its severity.
const headLength = 256

// levels are the names of severities that programs write.
var levels = []struct {
	name     string
	severity execution.Severity
}{
	{"INFO", execution.Info},
	{"DEBUG", execution.Debug},
	{"WARNING", execution.Warning},
	{"WARN", execution.Warning},
	{"ERROR", execution.Error},
	{"TRACE", execution.Debug},
	{"NOTICE", execution.Notice},
	{"SUCCESS", execution.Notice},
	{"CRITICAL", execution.Error},
	{"FATAL", execution.Error},
}

// severityOf returns the severity that a log line names at its beginning, or otherwise if
// it names none. A severity elsewhere in the line does not count.
func severityOf(line string, otherwise execution.Severity) execution.Severity {
	if line == "" {
		return otherwise
	}
	head := line[:min(len(line), headLength)]
	var found execution.Severity
	switch c := head[0]; {
	case isDecimal(c):
		found = afterTime(head)
	case c == '[' || 'A' <= c && c <= 'Z':
		// logging.basicConfig: INFO:name:text, and the forms [INFO] text and INFO: text of others.
		level, rest := levelAt(strings.TrimPrefix(head, "["))
		if strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, "]") {
			found = level
		}
	case c == 't' || c == 'l':
		// log/slog as text: time=… level=INFO
		if rest, ok := strings.CutPrefix(head, "time="); ok {
			at := wordEnd(rest)
			head = ""
			if at > 0 && strings.HasPrefix(rest[at:], " ") {
				head = rest[at+1:]
			}
		}
		if rest, ok := strings.CutPrefix(head, "level="); ok {
			found = levelWord(rest)
		}
	case c == '{':
		found = inJSON(head)
	}
	if found == "" {
		return otherwise
	}
	return found
}

// inJSON reads log/slog as JSON, which begins {"time":"…","level":"INFO".
func inJSON(head string) execution.Severity {
	rest, ok := strings.CutPrefix(head, `{"time":"`)
	if !ok {
		return ""
	}
	_, rest, _ = strings.Cut(rest, `"`)
	if rest, ok = strings.CutPrefix(rest, `,"level":"`); !ok {
		return ""
	}
	if level, rest := levelAt(rest); strings.HasPrefix(rest, `"`) {
		return level
	}
	return ""
}

// afterTime reads lines that begin with a date.
func afterTime(head string) execution.Severity {
	if matches(head, "0000/00/00 00:00:00") {
		// log/slog of Go: 2026/01/31 12:00:00 INFO text
		rest := head[len("0000/00/00 00:00:00"):]
		if digits := decimals(strings.TrimPrefix(rest, ".")); strings.HasPrefix(rest, ".") && digits > 0 {
			rest = rest[1+digits:]
		}
		if rest, ok := strings.CutPrefix(rest, " "); ok {
			return levelWord(rest)
		}
		return ""
	}
	const date = "0000-00-00"
	if len(head) < len(date)+2 || !matches(head, date) || head[len(date)] != ' ' && head[len(date)] != 'T' || !isTime(head[len(date)+1]) {
		return ""
	}
	clock := head[len(date)+1:]
	end := wordEnd(clock)
	if level := betweenBars(clock, end); level != "" {
		return level
	}
	// logging with a time and perhaps a name: 2026-01-31 12:00:00,123 - name - INFO - text; the
	// same without " - ".
	rest, ok := afterDash(clock[end:])
	if !ok {
		return ""
	}
	name := wordEnd(rest)
	if after, ok := afterDash(rest[name:]); ok && name > 0 {
		if level := levelWord(strings.TrimPrefix(after, "[")); level != "" {
			return level
		}
	}
	return levelWord(strings.TrimPrefix(rest, "["))
}

// betweenBars reads the form of loguru, and of the SDK without it:
// 2026-01-31 12:00:00.123 | INFO     | module:function:1 - text. The time may stand
// directly before the bar.
func betweenBars(clock string, end int) execution.Severity {
	if level := behindBar(strings.TrimLeft(clock[end:], " ")); level != "" {
		return level
	}
	for at := strings.LastIndexByte(clock[:end], '|'); at > 0; at = strings.LastIndexByte(clock[:at], '|') {
		if level := behindBar(clock[at:]); level != "" {
			return level
		}
	}
	return ""
}

// behindBar reads a severity between two bars, of which text begins with the first.
func behindBar(text string) execution.Severity {
	rest, ok := strings.CutPrefix(text, "|")
	if !ok {
		return ""
	}
	level, rest := levelAt(strings.TrimLeft(rest, " "))
	if !strings.HasPrefix(strings.TrimLeft(rest, " "), "|") {
		return ""
	}
	return level
}

// afterDash skips spaces, and a dash between spaces.
func afterDash(text string) (rest string, ok bool) {
	rest = strings.TrimLeft(text, " ")
	if len(rest) == len(text) {
		return rest, false
	}
	if behind, ok := strings.CutPrefix(rest, "-"); ok {
		if after := strings.TrimLeft(behind, " "); len(after) < len(behind) {
			return after, true
		}
	}
	return rest, true
}

// levelAt returns the severity that text begins with, and the text behind it.
func levelAt(text string) (level execution.Severity, rest string) {
	for i := range levels {
		if rest, ok := strings.CutPrefix(text, levels[i].name); ok {
			return levels[i].severity, rest
		}
	}
	return "", text
}

// levelWord is levelAt for a level that no other word character follows.
func levelWord(text string) execution.Severity {
	level, rest := levelAt(text)
	if level != "" && rest != "" && (rest[0] == '_' || isDecimal(rest[0]) || 'a' <= rest[0]|0x20 && rest[0]|0x20 <= 'z') {
		return ""
	}
	return level
}

// wordEnd is where the characters end that are no space.
func wordEnd(text string) int {
	for i := range len(text) {
		switch text[i] {
		case ' ', '\t', '\n', '\f', '\r':
			return i
		}
	}
	return len(text)
}

// matches reports whether text begins like a pattern, in which 0 stands for any digit.
func matches(text, pattern string) bool {
	if len(text) < len(pattern) {
		return false
	}
	for i := range len(pattern) {
		if pattern[i] == '0' && !isDecimal(text[i]) || pattern[i] != '0' && text[i] != pattern[i] {
			return false
		}
	}
	return true
}

func decimals(text string) (n int) {
	for n < len(text) && isDecimal(text[n]) {
		n++
	}
	return n
}

func isTime(c byte) bool    { return isDecimal(c) || c == ':' || c == '.' || c == ',' }
func isDecimal(c byte) bool { return '0' <= c && c <= '9' }
