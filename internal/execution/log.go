package execution

import (
	"encoding/json"
	"fmt"
	"time"
)

// Severity ranks a line of a log, in the words of the Service API.
type Severity string

// The severities, from the least to the most serious.
const (
	Debug   Severity = "DEBUG"
	Notice  Severity = "NOTICE"
	Info    Severity = "INFO"
	Warning Severity = "WARNING"
	Error   Severity = "ERROR"
)

// Valid reports whether s is one of the severities.
func (s Severity) Valid() bool {
	switch s {
	case Debug, Notice, Info, Warning, Error:
		return true
	default:
		return false
	}
}

// A LogEntry is one line that an execution wrote, with its secrets masked.
type LogEntry struct {
	Message   string
	Severity  Severity
	Timestamp time.Time
}

type wireLogEntry struct {
	Message   string   `json:"message"`
	Severity  Severity `json:"severity"`
	Timestamp string   `json:"timestamp"`
}

// MarshalJSON writes the entry with its time as RFC 3339 in UTC.
func (l LogEntry) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireLogEntry{l.Message, l.Severity, l.Timestamp.UTC().Format(time.RFC3339Nano)})
}

// UnmarshalJSON reads an entry. A severity it does not know becomes INFO.
func (l *LogEntry) UnmarshalJSON(data []byte) error {
	var w wireLogEntry
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read a log entry: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, w.Timestamp)
	if err != nil {
		return fmt.Errorf("read a log entry: %w", err)
	}
	if !w.Severity.Valid() {
		w.Severity = Info
	}
	*l = LogEntry{Message: w.Message, Severity: w.Severity, Timestamp: at}
	return nil
}
