package platformapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Patient reads the body of a request of [Stream] for as long as pieces of it come.
func Patient(w http.ResponseWriter, body io.Reader) io.Reader {
	return &patientReader{body, http.NewResponseController(w)}
}

type patientReader struct {
	from    io.Reader
	control *http.ResponseController
}

func (r *patientReader) Read(p []byte) (int, error) {
	deadline := time.Now().Add(pieceTime)
	_ = r.control.SetReadDeadline(deadline)
	_ = r.control.SetWriteDeadline(deadline.Add(answerTime))
	return r.from.Read(p)
}

// Copy answers with the content of a file, for as long as the client takes pieces of
// it. The caller has set the headers.
func Copy(w http.ResponseWriter, content io.Reader) error {
	_, err := io.Copy(PatientWriter(w), content)
	return err
}

// PatientWriter writes an answer, for as long as the client takes pieces of it.
func PatientWriter(w http.ResponseWriter) io.Writer {
	return &patientWriter{w, http.NewResponseController(w)}
}

type patientWriter struct {
	to      io.Writer
	control *http.ResponseController
}

func (w *patientWriter) Write(p []byte) (int, error) {
	_ = w.control.SetWriteDeadline(time.Now().Add(answerTime))
	return w.to.Write(p)
}

// maxJSON is the size of a JSON document that [ReadJSON] reads.
const maxJSON = 1 << 20

// ErrNoBody is the error of [ReadJSON] where the request has no body.
var ErrNoBody error = NewProblem(http.StatusBadRequest, "The request has no body.")

// ReadJSON reads the body of a request of [Stream], and clears its copy of it: secrets
// may be in it. Unknown members are left out: clients of other versions send them.
func ReadJSON(w http.ResponseWriter, r *http.Request, into any) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJSON))
	defer clear(text)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body may have %d KiB.", maxJSON>>10))
	}
	if err == nil && len(text) == 0 {
		return ErrNoBody
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return NewProblem(http.StatusBadRequest, fmt.Sprintf("The member %s has the wrong type.", kind.Field))
	}
	var problem *Problem
	switch {
	case errors.As(err, &problem):
		return problem
	case err != nil:
		return NewProblem(http.StatusBadRequest, "The body is not a JSON document.")
	}
	return nil
}

// WriteJSON answers a request of [Stream] with a document.
func WriteJSON(w http.ResponseWriter, status int, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	WriteText(w, status, "application/json", append(text, '\n'))
	return nil
}

// WriteText answers a request of [Stream] with a text.
func WriteText(w http.ResponseWriter, status int, contentType string, text []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // that a client is gone is no error of ours
}
