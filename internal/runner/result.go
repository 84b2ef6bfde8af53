package runner

import (
	"bytes"
	"fmt"
	"io"
)

// A Result is what an execution has left, as `run` shows it.
type Result struct {
	// Value is the JSON text of what run returned, or the problem document of
	// a failure; nil if there is none.
	Value []byte
	// Files are the names of the files the service wrote itself, sorted.
	Files []string
	// Skipped are the other entries, as [Artifacts].Skipped returns them.
	Skipped []string
}

// ReadResult reads the value of a result, and lists the files beside it.
func ReadResult(artifacts Artifacts) (Result, error) {
	var result Result
	files, err := artifacts.Files()
	if err != nil {
		return result, err
	}
	result.Skipped = artifacts.Skipped()
	for _, file := range files {
		if file.Name != ResultJSON && file.Name != ResultText {
			result.Files = append(result.Files, file.Name)
			continue
		}
		value, err := read(artifacts, file.Name)
		if err != nil {
			return result, fmt.Errorf("cannot read the result: %w", err)
		}
		if result.Value == nil || file.Name == ResultJSON {
			result.Value = bytes.TrimSpace(value)
		}
	}
	return result, nil
}

func read(artifacts Artifacts, name string) ([]byte, error) {
	file, err := artifacts.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(file)
}
