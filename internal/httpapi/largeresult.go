package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/jsonstream"
)

// largeResult is result for a value in a file. It reads the file twice: once for the
// length of the answer, and once to send it.
func (a *API) largeResult(w http.ResponseWriter, r *http.Request, e execution.Execution, left engine.Result) error {
	value, _, err := a.Service.OpenFile(r.Context(), e.ID, left.Large)
	if err != nil {
		return err
	}
	defer func() { _ = value.Close() }()
	var size counter
	members, err := jsonstream.CopyMembers(&size, value, isEnvelope)
	if err != nil {
		return fmt.Errorf("read a result: %w", err)
	}
	if _, err := value.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read a result: %w", err)
	}
	rest := bytes.NewBufferString("{")
	if members > 0 {
		rest.WriteByte('0') // stands for the members
	}
	if err := a.envelope(rest, e, left.Files); err != nil {
		return err
	}
	rest.WriteString("}" + lineEnd)
	end := rest.Bytes()[1:]
	if members > 0 {
		end = end[1:]
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.FormatInt(1+int64(size)+int64(len(end)), 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err = io.WriteString(w, "{")
	if err == nil {
		_, err = jsonstream.CopyMembers(w, value, isEnvelope)
	}
	if err == nil {
		_, err = w.Write(end)
	}
	if err != nil {
		a.Log.Warn("the answer with a result was cut off", "execution", e.ID.String(), "error", err)
		abort()
	}
	return nil
}

// isEnvelope reports whether a member of the API replaces a member of the result
// with this name.
func isEnvelope(name string) bool { return name == embeddedKey || name == linksKey }

// counter counts the bytes written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
