package process

import (
	"bytes"
	"io"
	"sync"

	"github.com/qhubctl/qhubctl/internal/runner"
)

// outputTail is the end of the output of an execution. The system reports some limits
// only to the service, which in any language ends with the system's message.
type outputTail struct{ out, err *tail }

// tailSize is room for the report of an exception, or of a panic.
const tailSize = 16 << 10

// newOutputTail listens to the output of a job. It does nothing for a job without such
// limits.
func newOutputTail(job *runner.Job) outputTail {
	if job.Limits.OpenFiles == 0 && job.Limits.Temp == 0 {
		return outputTail{}
	}
	said := outputTail{&tail{to: job.Stdout}, &tail{to: job.Stderr}}
	job.Stdout, job.Stderr = said.out, said.err
	return said
}

// limit is the resource that a failed execution lacked, by its last message.
func (l outputTail) limit(exit Outcome, limits runner.Limits, dir runner.Dir) runner.Limit {
	said := func(words string) bool { return l.out.says(words) || l.err.says(words) }
	switch {
	case limits.CPUTime > 0 && exit.Signal == "SIGXCPU":
		return runner.CPUTimeLimit
	case limits.OpenFiles > 0 && said("oo many open files"):
		return runner.OpenFilesLimit
	case limits.Temp > 0 && said("o space left on device") && !diskFull(dir.Root()):
		return runner.TempLimit
	default:
		return runner.NoLimit
	}
}

// clear wipes the kept output, which has not been masked.
func (l outputTail) clear() {
	for _, t := range []*tail{l.out, l.err} {
		if t != nil {
			t.clear()
		}
	}
}

// A tail passes on its input, and keeps the end of it.
type tail struct {
	to io.Writer

	mu  sync.Mutex // a process that outlives the wait may still write
	end []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.keep(b)
	return t.to.Write(b)
}

func (t *tail) keep(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.end == nil {
		t.end = make([]byte, 0, tailSize)
	}
	b = b[max(0, len(b)-tailSize):]
	if rest := len(t.end) + len(b) - tailSize; rest > 0 {
		t.end = t.end[:copy(t.end, t.end[rest:])]
	}
	t.end = append(t.end, b...)
}

func (t *tail) says(words string) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.end, []byte(words))
}

func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.end[:cap(t.end)])
	t.end = t.end[:0]
}
