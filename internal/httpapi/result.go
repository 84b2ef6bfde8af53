package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
)

// These are the members that the API adds to a result. They replace members of the
// result with the same names.
const (
	embeddedKey = "_embedded"
	linksKey    = "_links"
)

// These are the links that are not links to files: to the execution, and to the
// document itself.
const (
	statusLink = "status"
	selfLink   = "self"
)

// result answers with the result of an execution: the members of its object, or of
// the problem that it failed with, and links to its files.
func (a *API) result(w http.ResponseWriter, r *http.Request) error {
	if _, err := negotiate(w, r, typeJSON); err != nil {
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
	if !e.Status.Final() {
		return &execution.Problem{
			Type: TypeUnfinished, Status: http.StatusNotFound, Title: "Not finished",
			Detail:     fmt.Sprintf("The execution is %s; its result is available when it has ended.", e.Status),
			Extensions: map[string]any{"executionStatus": e.Status},
		}
	}
	var left engine.Result
	if e.Status != execution.Cancelled {
		if left, err = a.Service.Result(r.Context(), id); err != nil {
			return err
		}
	}
	if left.Large != "" && e.Status != execution.Failed {
		return a.largeResult(w, r, e, left)
	}
	document, err := a.resultDocument(e, left)
	if err != nil {
		return err
	}
	write(w, http.StatusOK, "application/json", document)
	return nil
}

// resultDocument builds the answer from the members and the envelope. It copies the
// text of the members, so that numbers keep their digits.
func (a *API) resultDocument(e execution.Execution, left engine.Result) ([]byte, error) {
	members := left.Value
	if e.Status == execution.Failed && e.Problem != nil {
		text, err := json.Marshal(e.Problem)
		if err != nil {
			return nil, err
		}
		members = text
	}
	var out bytes.Buffer
	out.WriteByte('{')
	if err := copyMembers(&out, members); err != nil {
		return nil, err
	}
	if err := a.envelope(&out, e, left.Files); err != nil {
		return nil, err
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// envelope adds the members of the API.
func (a *API) envelope(out *bytes.Buffer, e execution.Execution, files []engine.ResultFile) error {
	for _, part := range []struct {
		key   string
		value any
	}{
		{embeddedKey, map[string]any{statusLink: e}},
		{linksKey, a.links(e.ID, files)},
	} {
		text, err := json.Marshal(part.value)
		if err != nil {
			return err
		}
		member(out, []byte(`"`+part.key+`"`), text)
	}
	return nil
}

func member(out *bytes.Buffer, key, value []byte) {
	if out.Len() > 1 {
		out.WriteByte(',')
	}
	out.Write(key)
	out.WriteByte(':')
	out.Write(value)
}

// copyMembers copies the members of an object. Any other value has none.
func copyMembers(out *bytes.Buffer, document []byte) error {
	// A service may have written a member twice; the copy keeps both.
	decoder := jsontext.NewDecoder(bytes.NewReader(document), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if decoder.PeekKind() != '{' {
		return nil
	}
	if _, err := decoder.ReadToken(); err != nil {
		return fmt.Errorf("read a result: %w", err)
	}
	for decoder.PeekKind() == '"' {
		key, err := decoder.ReadValue()
		if err != nil {
			return fmt.Errorf("read a result: %w", err)
		}
		key = key.Clone()
		value, err := decoder.ReadValue()
		if err != nil {
			return fmt.Errorf("read a result: %w", err)
		}
		name, err := jsontext.AppendUnquote(nil, key)
		if err != nil || isEnvelope(string(name)) {
			continue
		}
		member(out, key, value)
	}
	if _, err := decoder.ReadToken(); err != nil {
		return fmt.Errorf("read a result: %w", err)
	}
	return nil
}

type link struct {
	Href string `json:"href"`
}

// links returns the links to the execution and to its files, which are named by
// their paths.
func (a *API) links(id execution.ID, files []engine.ResultFile) map[string]link {
	all := map[string]link{}
	for _, file := range files {
		name, at := FileLink(file.Name)
		all[name] = link{a.address(id) + "/result/" + at}
	}
	all[statusLink] = link{a.address(id)}
	return all
}

// FileLink returns the name of the link to a result file, and the path in its address. A file with the name of another link, such as status, is "./status".
func FileLink(file string) (name, address string) {
	name = file
	if name == statusLink || name == selfLink {
		name = "./" + name
	}
	return name, escapePath(file)
}

// escapePath escapes the elements of a path and keeps its slashes.
func escapePath(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// file answers with the content of a result file, or a part of it.
func (a *API) file(w http.ResponseWriter, r *http.Request) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	if _, err := a.Service.Get(r.Context(), id); err != nil {
		return err
	}
	name := strings.TrimPrefix(r.PathValue("file"), "./")
	if !fs.ValidPath(name) || name == "." || strings.Contains(name, "\x00") { // an early check: the engine also looks the name up in its list
		return notFound("There is no such file.")
	}
	content, info, err := a.Service.OpenFile(r.Context(), id, name)
	if err != nil {
		if p := asProblem(err); p.Status == http.StatusNotFound {
			return notFound("There is no such file.")
		}
		return err
	}
	defer func() { _ = content.Close() }()
	if _, err := negotiate(w, r, typeBinary); err != nil {
		return err
	}
	w.Header().Set("Content-Type", typeBinary.String())
	w.Header().Set("Content-Disposition", disposition(path.Base(info.Name)))
	w.Header().Set("Etag", `"`+id.String()+`"`) // a file of an ended execution never changes
	http.ServeContent(&rangeErrors{ResponseWriter: w}, r, "", time.Time{}, content)
	return nil
}

// disposition makes a browser save the file instead of showing it.
func disposition(name string) string {
	if header := mime.FormatMediaType("attachment", map[string]string{"filename": name}); header != "" {
		return header
	}
	return "attachment"
}

// rangeErrors replaces the text errors of ServeContent by problem documents.
type rangeErrors struct {
	http.ResponseWriter
	failed bool
}

func (w *rangeErrors) WriteHeader(status int) {
	if status < http.StatusBadRequest {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.failed = true
	w.Header().Del("Content-Disposition")
	p := problem(status, "")
	if status == http.StatusRequestedRangeNotSatisfiable {
		p.Detail = "The file has no such range."
	}
	text, _ := json.Marshal(p) // without extensions it always encodes
	write(w.ResponseWriter, status, "application/problem+json", text)
}

func (w *rangeErrors) Write(b []byte) (int, error) {
	if w.failed {
		return len(b), nil // the text is replaced
	}
	return w.ResponseWriter.Write(b)
}
