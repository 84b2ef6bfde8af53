// Package local runs a service once, on this machine, in the live workspace. It checks
// the whole request before any code of the service can reach a secret.
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

// Options select a service and hold its request.
type Options struct {
	Service build.Options
	// Body is the JSON object of the request. Run wipes it. Nil: the input comes from
	// the files in the workspace.
	Body []byte
	// Secrets are the secrets that the user has given, by their parameters.
	Secrets map[string]secretref.Found
	// DataPools are the folders of data pools. The last one of a name counts.
	DataPools []DataPool
	// OutputDir is the folder for result files. Empty: out/ in the workspace.
	OutputDir string
	// Timeout ends the service after this time. Zero: never.
	Timeout time.Duration
}

// A DataPool is the folder that a user names for a data pool.
type DataPool struct{ Name, Dir string }

// Reporter reports progress, warnings and the log to the user.
type Reporter interface {
	build.Reporter
	Say(format string, args ...any)
	// Log returns the writer for the log of the service.
	Log() io.Writer
}

// A UsageError is the error of a secret or a data pool that the service does not have.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// A ResultError is the error of a result that cannot be read or stored.
type ResultError struct{ err error }

func (e *ResultError) Error() string { return e.err.Error() }
func (e *ResultError) Unwrap() error { return e.err }

// Run runs the service once. It returns no error for a service that failed: the report
// has that.
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

// poolDir returns the folder of a data pool on this machine, or "" if there is none.
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
