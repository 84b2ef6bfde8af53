// Package local runs a service once, on this machine, in the live workspace. It
// checks everything that can be wrong before any code of the service runs with
// a secret in reach.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/secretref"
)

// Options say what to run.
type Options struct {
	Service build.Options
	// Body is the JSON object of the request. Nil: the input is the files of
	// the workspace. Run wipes it.
	Body []byte
	// Secrets are those that the user gave, by their parameters.
	Secrets map[string]secretref.Found
	// DataPools are folders; the last one of a name counts.
	DataPools []DataPool
	// OutputDir is where result files go; empty: out/ in the workspace.
	OutputDir string
	// Timeout ends the service after this time; zero: never.
	Timeout time.Duration
}

// A DataPool is the folder that a user names for a data pool.
type DataPool struct{ Name, Dir string }

// Reporter reports progress, warnings and the log to the user.
type Reporter interface {
	build.Reporter
	Say(format string, args ...any)
	// Log is where the log of the service goes.
	Log() io.Writer
}

// A UsageError is a secret or a data pool that the service does not have.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// A ResultError says that what the service left cannot be read or stored.
type ResultError struct{ err error }

func (e *ResultError) Error() string { return e.err.Error() }
func (e *ResultError) Unwrap() error { return e.err }

// Run runs the service once. A service that failed is no error here: the report
// says so.
func Run(ctx context.Context, o Options, reporter Reporter) (Report, error) {
	r := &running{reporter: reporter, options: o}
	defer r.close()
	steps := []func(context.Context) error{r.openService, r.placeDir, r.describe, r.resolve, r.execute}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return Report{}, err
		}
	}
	return r.collect()
}

// poolDir is the folder of a data pool on this machine; empty if none.
func (r *running) poolDir(parameter string) (string, error) {
	for i := len(r.options.DataPools) - 1; i >= 0; i-- {
		pool := r.options.DataPools[i]
		if pool.Name != parameter {
			continue
		}
		info, err := os.Stat(pool.Dir)
		if err == nil && !info.IsDir() {
			err = errors.New("it is not a folder")
		}
		if err != nil {
			return "", fmt.Errorf("the data pool %s: %w", parameter, err)
		}
		return pool.Dir, nil
	}
	return r.service.Workspace.DataPool(parameter), nil
}
