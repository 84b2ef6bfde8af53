package runner

import (
	"context"
	"encoding/json"
	"io"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// A Runner starts executions of one revision of a service. Each implementation chooses
// how: a fresh process, a fork of one that is ready, another machine. Package runnertest
// holds the suite that each of them passes.
type Runner interface {
	// Start begins an execution and returns once its service may run. If ctx ends
	// before, Start ends the execution and returns an error; later the end of ctx
	// has no effect.
	Start(ctx context.Context, job Job) (Run, error)
	// Close releases the resources of the runner, such as processes kept ready.
	// Started executions continue.
	Close() error
}

// A Job is one execution to start.
type Job struct {
	// ID marks the processes of the execution, and names it to the service.
	ID execution.ID
	// Inputs are JSON texts by parameter, as [Dir.WriteInputs] takes them.
	Inputs map[string]json.RawMessage
	// DataPools are folders by parameter, which all executions share.
	DataPools map[string]string
	// Pools are data pools by parameter whose files are placed for this execution.
	Pools map[string]Pool
	// Secrets are for this execution alone. When Start has returned, the caller
	// owns them again and wipes them.
	Secrets []Secret
	// Admit, unless nil, is called before anything of the service runs or gets a secret,
	// perhaps several times. It blocks until the execution may begin. With an error Start
	// ends the execution and returns that error.
	Admit  func() error
	Limits Limits
	// Scratch is the folder below which the execution gets its own; empty is
	// the system's temporary folder.
	Scratch string
	// DirPool, unless nil, gives the execution one instead.
	DirPool *DirPool
	// Stdout and Stderr get the output of the service, from one goroutine each. A
	// writer that fails loses the rest, and does not stop the service.
	Stdout, Stderr io.Writer
}

// A Secret is the value of one parameter and the variable that carries it.
type Secret struct {
	Env   string
	Value plaintext.Bytes
}

// Limits are those of an execution. A runner enforces all except Log, which the engine
// enforces, and GPU, which the sandbox enforces. The number of files and folders in the
// output folder is always bounded by [MaxEntries].
type Limits = limits.Limits

// MaxEntries is how many files and folders an execution may have in its output folder:
// with more, collecting and removing them would take too long.
const MaxEntries = 10_000

// A Limit names a resource that an execution has exhausted.
type Limit string

// The limits that end an execution.
const (
	NoLimit     Limit = ""
	TimeLimit   Limit = "time"
	OutputLimit Limit = "output"
	// FilesLimit is the number of entries in the output folder.
	FilesLimit   Limit = "files"
	CPUTimeLimit Limit = "cpu time"
	// TempLimit is that of temporary files.
	TempLimit Limit = "temporary files"
	// The following limits are reported only if the execution failed. The system
	// does not report too many open files or a full temporary folder. The end of
	// the output does, if it is the service's log: it can only accuse the
	// service itself.
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
	// Stopped says that Stop was called before it ended.
	Stopped bool
}

// A Recoverer cleans up after executions whose server has died.
type Recoverer interface {
	// Recover removes the remains of executions, such as processes on this machine.
	// It is no error if there are none.
	Recover(ctx context.Context, ids ...execution.ID) error
}

// Artifacts are the files that an execution has left, on this machine or elsewhere.
type Artifacts interface {
	// Files are the regular files by name, no more than [MaxEntries].
	Files() ([]File, error)
	// Skipped are the entries that Files has left out, by their paths.
	Skipped() []string
	// Open opens a file that Files has listed.
	Open(name string) (io.ReadSeekCloser, error)
	Close() error
}

// A Run is an execution that was started: Wait, once, then Artifacts, then Close.
// Stop may be called at any time, by any goroutine.
type Run interface {
	// Stop asks the processes of the execution to end, and kills them after the
	// grace time. It returns at once; a second call kills them at once.
	Stop()
	// Wait returns when the service and all its processes have ended and all
	// of their output has been written.
	Wait() (Outcome, error)
	// Artifacts opens the files that the execution has left. It can be called
	// several times, until Close.
	Artifacts() (Artifacts, error)
	// Pool opens the files that the execution has left of a writable pool, until Close.
	// [fs.ErrNotExist]: it has removed or replaced the folder.
	Pool(parameter string) (Artifacts, error)
	// Close removes the execution's folders.
	Close() error
}
