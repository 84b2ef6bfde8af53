//go:build !linux

package forkserver

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// coldError says why a service cannot be forked.
type coldError struct{ reason string }

func (e *coldError) Error() string { return e.reason }

// A template needs what only Linux has.
type template struct {
	process  *process.Process
	imported time.Duration
	pid      int
	memory   int64
	shut     *process.Cage
	gone     chan struct{}
}

func startTemplate(context.Context, Options) (*template, error) {
	return nil, &coldError{"warm starts need Linux"}
}

func (t *template) retire() {}
func (t *template) end()    {}

// execution starts cold: there is no template.
func (t *template) execution(*Program, process.Command) (process.Execution, error) {
	return nil, &coldError{"warm starts need Linux"}
}
