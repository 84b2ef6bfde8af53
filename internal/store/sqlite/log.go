package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// partSize is the length at which a part of a log is full. A row costs more
// than a line, and a reader of a few lines reads a whole part.
const partSize = 32 << 10

// AppendLog implements [store.Logs].
func (s *Store) AppendLog(ctx context.Context, id execution.ID, entries ...execution.LogEntry) (last int64, err error) {
	parts := encodeLog(entries) // before the writer: all operations share its goroutine
	err = s.writer.do(ctx, survivesCrash, func(t *tx) error {
		t.steady = true
		var seq int64
		if err := t.row(selectLastLog, []any{string(id)}, &seq, &last); err != nil {
			return err
		}
		for _, part := range parts {
			last += part.lines
			if err := t.later(insertLog, seq, last, part.lines, part.text); err != nil {
				return err
			}
		}
		if len(entries) > 0 {
			t.changed = append(t.changed, id)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("write the log of execution %s: %w", id, err)
	}
	return last, nil
}

// ReadLog implements [store.Logs].
func (s *Store) ReadLog(ctx context.Context, id execution.ID, after int64, limit int) ([]store.LogLine, error) {
	var lines []store.LogLine
	err := s.read(ctx, selectLog, []any{string(id), after}, func(row scanner) error {
		if len(lines) >= limit {
			return errEnough
		}
		var last, count int64
		var text []byte
		if err := row.Scan(&last, &count, &text); err != nil {
			return err
		}
		for sequence := last - count + 1; sequence <= last && len(lines) < limit; sequence++ {
			entry, rest, err := decodeLine(text)
			if err != nil {
				return fmt.Errorf("line %d: %w", sequence, err)
			}
			if text = rest; sequence > after {
				lines = append(lines, store.LogLine{Sequence: sequence, Entry: entry})
			}
		}
		return nil
	})
	if err == nil && len(lines) == 0 {
		// Distinguish an empty log from one that does not exist.
		var seq int64
		err = s.readOne(ctx, selectSeq, []any{string(id)}, &seq)
	}
	if err != nil {
		return nil, fmt.Errorf("read the log of execution %s: %w", id, err)
	}
	return lines, nil
}

// A logPart is a row of a log: so many lines. Before its text, each line has its
// severity, its time and the length of the text:
//
//	INFO 1769860800000000 5
//	hello
type logPart struct {
	lines int64
	text  []byte
}

func encodeLog(entries []execution.LogEntry) (parts []logPart) {
	var part logPart
	for _, entry := range entries {
		const head = 48 // at most, and the ends of lines
		if size := len(part.text) + len(entry.Message) + head; part.lines > 0 && size > partSize {
			parts, part = append(parts, part), logPart{}
		}
		part.text = append(append(part.text, entry.Severity...), ' ')
		part.text = append(strconv.AppendInt(part.text, micros(entry.Timestamp), 10), ' ')
		part.text = append(strconv.AppendInt(part.text, int64(len(entry.Message)), 10), '\n')
		part.text = append(append(part.text, entry.Message...), '\n')
		part.lines++
	}
	if part.lines > 0 {
		parts = append(parts, part)
	}
	return parts
}

var errLogPart = errors.New("a part of a log is not as it was written")

// decodeLine reads the first line of a part, and returns the rest of the part.
func decodeLine(text []byte) (entry execution.LogEntry, rest []byte, err error) {
	head, rest, _ := bytes.Cut(text, []byte{'\n'})
	severity, numbers, _ := strings.Cut(string(head), " ")
	at, length, _ := strings.Cut(numbers, " ")
	when, timeErr := strconv.ParseInt(at, 10, 64)
	size, sizeErr := strconv.ParseUint(length, 10, 31)
	if timeErr != nil || sizeErr != nil || int(size) >= len(rest) {
		return entry, nil, errLogPart
	}
	return execution.LogEntry{
		Message: string(rest[:size]), Severity: execution.Severity(severity), Timestamp: time.UnixMicro(when).UTC(),
	}, rest[size+1:], nil
}
