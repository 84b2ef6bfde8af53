package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// A Result is the result of an execution.
type Result struct {
	Execution execution.Execution
	// Document is the whole answer.
	Document json.RawMessage
	// Members is the returned object, with its text unchanged. It is the problem
	// of a failed execution, and {} if nothing was returned.
	Members json.RawMessage
	// Files are the names of the result files, sorted: their paths in the
	// output folder, with slashes.
	Files []string
}

// Result reads the result of an execution that has ended.
func (c *Client) Result(ctx context.Context, id execution.ID) (Result, error) {
	var r Result
	if err := c.read(ctx, "/"+id.String()+"/result", &r.Document); err != nil {
		return r, err
	}
	var envelope struct {
		Links    map[string]json.RawMessage `json:"_links"`
		Embedded struct {
			Status execution.Execution `json:"status"`
		} `json:"_embedded"`
	}
	if err := json.Unmarshal(r.Document, &envelope); err != nil {
		return r, &StrangeAnswerError{"200 OK", err}
	}
	r.Execution = envelope.Embedded.Status
	for name := range envelope.Links {
		if name != "status" && name != "self" {
			r.Files = append(r.Files, strings.TrimPrefix(name, "./"))
		}
	}
	slices.Sort(r.Files)
	var err error
	if r.Members, err = withoutEnvelope(r.Document); err != nil {
		return r, &StrangeAnswerError{"200 OK", err}
	}
	return r, nil
}

func withoutEnvelope(document []byte) (json.RawMessage, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(document), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var out bytes.Buffer
	if _, err := decoder.ReadToken(); err != nil {
		return nil, err
	}
	separator := byte('{')
	for decoder.PeekKind() == '"' {
		key, err := decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		name := string(key)
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		if name == `"_links"` || name == `"_embedded"` {
			continue
		}
		out.WriteByte(separator)
		out.WriteString(name + ":")
		out.Write(value)
		separator = ','
	}
	if out.Len() == 0 {
		return json.RawMessage("{}"), nil
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// Open opens a result file. size is -1 if the server does not say it.
func (c *Client) Open(ctx context.Context, id execution.ID, name string) (content io.ReadCloser, size int64, err error) {
	response, err := c.do(ctx, http.MethodGet, "/"+id.String()+"/result/"+escapePath(name), nil, nil)
	if err != nil {
		return nil, 0, err
	}
	return response.Body, response.ContentLength, nil
}

// escapePath escapes the parts of a path, and keeps its slashes.
func escapePath(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}
