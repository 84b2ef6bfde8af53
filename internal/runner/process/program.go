package process

import (
	"context"
	"errors"
	"os"
	"time"
)

// A Program is a way to start a service: [Python] or [Binary].
type Program interface {
	// Start begins an execution as far as possible without secrets and input.
	// With describe, Describe must be called before Run.
	Start(c Command, describe bool) (Execution, error)
	// Files are the files and folders that the program needs to start, beside
	// those of the system and its working folder.
	Files() []string
}

// An Execution is one process of a service: Describe if it was started for
// that, then Run or Finish, then Wait, once. Stop may be called at any time, by
// any goroutine.
type Execution interface {
	// Describe returns the description document of the service.
	Describe(ctx context.Context) ([]byte, error)
	// Run runs the service with these secrets, which it does not keep. The
	// input is in the folders that the environment of the command names.
	Run(secrets []Secret) error
	// Finish ends an execution that was started to describe and does not run.
	Finish()
	// Stop asks the process and its children to end, with the given signal, and
	// kills them after the grace time. It returns at once; a second call kills
	// them at once.
	Stop(signal os.Signal, grace time.Duration)
	// Wait returns when the process and its children have ended and all of
	// their output has been written.
	Wait() (Outcome, error)
}

// ErrNotDescribed is returned if the process ended before it had described its service;
// its log says why.
var ErrNotDescribed = errors.New("the process ended before it had described the service")
