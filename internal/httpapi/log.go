package httpapi

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// logPage is how many lines are read at once.
const logPage = 1000

// log answers with the log of an execution so far, or with an event stream that
// follows it.
func (a *API) log(w http.ResponseWriter, r *http.Request) error {
	picked, err := negotiate(w, r, typeJSON, typePlain, typeEvents)
	if err != nil {
		return err
	}
	id, err := requestID(r)
	if err != nil {
		return err
	}
	e, err := a.Service.Get(r.Context(), id)
	if err != nil {
		return err
	}
	if picked.Equal(typeEvents) {
		return a.events(w, r, e)
	}
	lines, err := a.Service.ReadLog(r.Context(), id, 0, logPage)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	// The answer begins here: a later error can only cut it off.
	if picked.Equal(typePlain) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		err = a.copyLog(w, r, id, lines, writeTextLine)
	} else {
		w.Header().Set("Content-Type", typeJSON.String())
		err = a.copyLog(w, r, id, lines, writeJSONLine)
	}
	if err != nil {
		a.Log.Warn("the answer with a log was cut off", "execution", id.String(), "error", err)
		abort()
	}
	return nil
}

// A lineWriter writes the nth entry of a log, counted from 0. After the last entry it
// is called with nil.
type lineWriter func(w io.Writer, n int, entry *execution.LogEntry) error

// copyLog writes a log page by page, as a log may be larger than the memory. The
// caller has already read the first page.
func (a *API) copyLog(w http.ResponseWriter, r *http.Request, id execution.ID, lines []store.LogLine, writeLine lineWriter) error {
	out := bufio.NewWriterSize(w, piece)
	for n := 0; ; {
		for _, line := range lines {
			if err := writeLine(out, n, &line.Entry); err != nil {
				return err
			}
			n++
		}
		if len(lines) < logPage {
			if err := writeLine(out, n, nil); err != nil {
				return err
			}
			return out.Flush()
		}
		var err error
		if lines, err = a.Service.ReadLog(r.Context(), id, lines[len(lines)-1].Sequence, logPage); err != nil {
			return err
		}
	}
}

func writeJSONLine(w io.Writer, n int, entry *execution.LogEntry) error {
	separator := ","
	switch {
	case entry == nil:
		_, err := io.WriteString(w, "]")
		return err
	case n == 0:
		separator = "["
	}
	text, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, separator); err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

func writeTextLine(w io.Writer, _ int, entry *execution.LogEntry) error {
	if entry == nil {
		return nil
	}
	_, err := io.WriteString(w, entry.Timestamp.UTC().Format(time.RFC3339)+" "+string(entry.Severity)+" "+entry.Message+"\n")
	return err
}
