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

// Kind says of what form the result of an execution is.
type Kind string

// The kinds of a result.
const (
	// None: run returned nothing, or has not returned.
	None Kind = ""
	// Object: a JSON object, whose members are the result.
	Object Kind = "object"
	// Other: any other JSON value.
	Other Kind = "other"
)

// A Result is what an execution has left, without secrets.
type Result struct {
	Kind Kind
	// Value is the JSON text of what run returned; nil if there is none, or it
	// is large.
	Value json.RawMessage
	// Large names the file that is the value, if that is large. OpenFile opens
	// it.
	Large string
	// Files are what the service has written, the result among them, and the
	// problem document of a service that has failed.
	Files []ResultFile
}

// A ResultFile is one file of a result.
type ResultFile struct {
	// Name is its path in the output folder, with slashes.
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// Result reads what an execution has left. One that has not ended, or was
// cancelled, has left nothing; why one has failed is its Problem.
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

// OpenFile opens a result file by the name that Result gives it. Anything else
// is store.ErrNotFound.
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

// notFound is the error of a file that retention has removed meanwhile.
func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: its result was removed", store.ErrNotFound)
	}
	return err
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }
