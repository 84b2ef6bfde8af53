package runner

import (
	"context"
	"encoding/json"
	"io"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// A Runner starts executions of one revision of a service. How is its own
// business: a fresh process, a fork of one that is ready, another machine.
// Package runnertest holds the suite that each of them passes.
type Runner interface {
	// Start begins an execution and returns once its service may run. Should
	// ctx end before, Start ends what it has begun and returns an error;
	// later the end of ctx has no effect.
	Start(ctx context.Context, job Job) (Run, error)
	// Close gives back what the runner holds for itself, such as processes
	// kept ready. Executions that were started go on.
	Close() error
}

// A Job is one execution to start.
type Job struct {
	// ID marks the processes of the execution, and names it to the service.
	ID execution.ID
	// Inputs are JSON texts by parameter, as [Dir.WriteInputs] takes them.
	Inputs map[string]json.RawMessage
	// DataPools are folders by parameter.
	DataPools map[string]string
	// Secrets are given to this execution alone. They are the caller's again,
	// to be wiped, when Start has returned.
	Secrets []Secret
	Limits  Limits
	// Scratch is the folder below which the execution gets its own; empty is
	// the system's temporary folder.
	Scratch string
	// DirPool, unless nil, gives the execution one instead.
	DirPool *DirPool
	// Stdout and Stderr get what the service prints, from one goroutine each.
	// A writer that fails loses the rest, and does not stop the service.
	Stdout, Stderr io.Writer
}

// A Secret is the value of one parameter and the variable that carries it.
type Secret struct {
	Env   string
	Value plaintext.Bytes
}

// Limits are those of an execution. A runner holds all but Log, which the taker of
// the log holds, and GPU, which a sandbox has already. The output folder may have
// no more than [MaxEntries] files and folders anyway.
type Limits = limits.Limits

// MaxEntries is how many files and folders an execution may have in its output
// folder: more would keep whoever collects or removes them busy.
const MaxEntries = 10_000

// A Limit names what an execution has used too much of.
type Limit string

// The limits that end an execution.
const (
	NoLimit     Limit = ""
	TimeLimit   Limit = "time"
	OutputLimit Limit = "output"
	// FilesLimit is that of entries in the output folder.
	FilesLimit   Limit = "files"
	CPUTimeLimit Limit = "cpu time"
	// TempLimit is that of temporary files.
	TempLimit Limit = "temporary files"
	// These are told only of an execution that failed. The system does not tell
	// that there were too many files open, or no room for more temporary files:
	// the end of what the execution has printed does, as long as it is the
	// service's own log that is believed to be about itself.
	MemoryLimit    Limit = "memory"
	ProcessLimit   Limit = "processes"
	OpenFilesLimit Limit = "open files"
)

// An Outcome is how an execution ended.
type Outcome struct {
	// ExitCode is the code the process gave itself; -1 if a signal ended it.
	ExitCode int
	// Signal names the signal that ended it; empty if none did.
	Signal string
	// Limit is the limit that ended it.
	Limit Limit
	// Stopped says that Stop was called before it ended by itself.
	Stopped bool
}

// A Recoverer cleans up after executions whose server has died.
type Recoverer interface {
	// Recover ends the remains of executions, such as processes on this machine.
	// That there is nothing is no error.
	Recover(ctx context.Context, ids ...execution.ID) error
}

// Artifacts are the files that an execution has left, wherever they are.
type Artifacts interface {
	// Files are the regular files by name, no more than [MaxEntries].
	Files() ([]File, error)
	// Skipped are the entries that Files has passed over, by their paths.
	Skipped() []string
	// Open opens a file that Files has named.
	Open(name string) (io.ReadSeekCloser, error)
	Close() error
}

// A Run is an execution that was started: Wait, once, then Artifacts, then Close.
// Stop may be called at any time, by any goroutine.
type Run interface {
	// Stop asks the processes of the execution to end, and ends them after
	// the grace time. It returns at once; a second call ends them at once.
	Stop()
	// Wait returns when the service and all its processes have ended and all
	// that they printed has been written.
	Wait() (Outcome, error)
	// Artifacts opens the files that the execution has left, until Close, as often
	// as wanted.
	Artifacts() (Artifacts, error)
	// Close removes the execution's folders.
	Close() error
}
