package process

import (
	"bytes"
	"io"
	"sync"

	"github.com/qhubctl/qhubctl/internal/runner"
)

// outputTail is the end of what an execution has printed. Some limits the
// system only tells the service itself, which in any language ends with the
// system's words for it.
type outputTail struct{ out, err *tail }

// tailSize is room for the report of an exception, or of a panic.
const tailSize = 16 << 10

// newOutputTail listens to what a job prints. One without such limits is left
// alone.
func newOutputTail(job *runner.Job) outputTail {
	if job.Limits.OpenFiles == 0 && job.Limits.Temp == 0 {
		return outputTail{}
	}
	said := outputTail{&tail{to: job.Stdout}, &tail{to: job.Stderr}}
	job.Stdout, job.Stderr = said.out, said.err
	return said
}

// limit is what a failed execution has had too little of, by its own words.
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

// clear wipes what was kept: it has not been masked.
func (l outputTail) clear() {
	for _, t := range []*tail{l.out, l.err} {
		if t != nil {
			t.clear()
		}
	}
}

// A tail passes on what is written to it, and keeps the end.
type tail struct {
	to io.Writer

	mu  sync.Mutex // a pipe may be handed to a process that outlives the wait
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
