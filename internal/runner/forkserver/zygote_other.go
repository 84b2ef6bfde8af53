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

// A zygote needs features of Linux.
type zygote struct {
	process  *process.Process
	imported time.Duration
	pid      int
	memory   int64
	sb       *process.Sandbox
	gone     chan struct{}
}

func startZygote(context.Context, Options) (*zygote, error) {
	return nil, &coldError{"warm starts need Linux"}
}

func (z *zygote) retire() {}
func (z *zygote) end()    {}

// execution starts cold: there is no zygote.
func (z *zygote) execution(*Program, process.Command) (process.Execution, error) {
	return nil, &coldError{"warm starts need Linux"}
}
