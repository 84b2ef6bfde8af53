package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Kind is the form of a result.
type Kind string

// The kinds of a result.
const (
	// None means that run returned nothing, or did not return.
	None Kind = ""
	// Object is a JSON object; its members are the result.
	Object Kind = "object"
	// Other is any other JSON value.
	Other Kind = "other"
)

// A Result is the result of an execution, with its secrets masked.
type Result struct {
	Kind Kind
	// Value is the returned value as JSON. It is nil if there is none, or if it is
	// large.
	Value json.RawMessage
	// Large names the file of a large value, which OpenFile opens.
	Large string
	// Files are the files that the service has written, including the result and
	// the problem document of a failed service.
	Files []ResultFile
}

// A ResultFile is one file of a result.
type ResultFile struct {
	// Name is its path in the output folder, with slashes.
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// Result reads the result of an execution. It is empty if the execution has not
// ended or was cancelled. The reason of a failure is in the execution's Problem.
func (s *Service) Result(ctx context.Context, id execution.ID) (Result, error) {
	n, err := s.resultManifest(ctx, id)
	if err != nil {
		return Result{}, err
	}
	result := Result{Kind: n.Kind, Files: make([]ResultFile, len(n.Files))}
	for i, file := range n.Files {
		result.Files[i] = file.ResultFile
	}
	if n.Value == "" || n.Kind == None {
		if n.Kind != None {
			result.Value = json.RawMessage(n.Text)
		}
		return result, nil
	}
	for _, file := range n.Files {
		if file.At == "" {
			result.Large = file.Name
		}
	}
	return result, nil
}

// OpenFile opens a result file by its name in [Result].Files. For any other name it
// fails with [store.ErrNotFound].
func (s *Service) OpenFile(ctx context.Context, id execution.ID, name string) (io.ReadSeekCloser, ResultFile, error) {
	n, err := s.resultManifest(ctx, id)
	if err != nil {
		return nil, ResultFile{}, err
	}
	for _, file := range n.Files {
		if file.Name != name {
			continue
		}
		if file.At == "" && n.Value == "" {
			return inMemory{bytes.NewReader([]byte(n.Text))}, file.ResultFile, nil
		}
		at := file.At
		if at == "" {
			at = n.Value
		}
		opened, err := os.Open(filepath.Join(s.engine.dataDir.results(id), at))
		if err != nil {
			return nil, ResultFile{}, notFound(err)
		}
		return opened, file.ResultFile, nil
	}
	return nil, ResultFile{}, fmt.Errorf("%w: it has no such result file", store.ErrNotFound)
}

func (s *Service) resultManifest(ctx context.Context, id execution.ID) (n resultManifest, err error) {
	found, err := s.own(s.engine.read(ctx, id))
	if err != nil || len(found.Result) == 0 {
		return n, err
	}
	if err := json.Unmarshal(found.Result, &n); err != nil {
		return n, fmt.Errorf("read the result of execution %s: %w", id, err)
	}
	return n, nil
}

// notFound maps the error for a file that retention has just removed to
// [store.ErrNotFound].
func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: its result was removed", store.ErrNotFound)
	}
	return err
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }
