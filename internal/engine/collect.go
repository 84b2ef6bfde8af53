package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
)

const (
	// maxValue is the largest result in bytes; a larger one is a result file.
	maxValue = 64 << 20
	// maxInMemory is the largest result in bytes that is read as a whole.
	maxInMemory = 64 << 10
	// maxInline is the largest result in bytes that the store keeps with the
	// execution.
	maxInline = 16 << 10
	// maxProblem bounds the problem document of a service.
	maxProblem = 256 << 10
	// maxFiles bounds the result files that are kept, and maxNames the bytes of
	// their names: every answer with the result holds all of them.
	maxFiles = 5000
	maxNames = 1 << 20
)

// collect moves the result of an execution to the data folder and returns the
// outcome.
func (t *task) collect(run runner.Run, exit runner.Outcome, p *prepared, lw *logWriter) outcome {
	failed := outcome{status: execution.Failed}
	switch {
	case t.reason() == forItsLog: // even if its process ended before the stop
		end := t.endedBy(failed)
		end.problem = withExit(end.problem, exit)
		return end
	case exit.Stopped:
		return t.endedBy(failed)
	case exit.Limit == runner.OutputLimit, exit.Limit == runner.FilesLimit:
		failed.problem = withExit(limitReached(t.revision.Limits, exit.Limit), exit)
		return failed
	}
	results := p.maskers.Result(p.job.Inputs)
	var c *collector
	err := descriptors.Retry(t.engine.ctx, func() error {
		c = &collector{
			id: t.id, masker: results, logWriter: lw, observer: t.engine.config.Observer,
			dir: t.engine.dataDir.results(t.id), failed: exit.Limit != runner.NoLimit || exit.ExitCode != 0,
		}
		err := c.collect(run)
		if descriptors.Exhausted(err) && c.made {
			err = errors.Join(err, t.engine.dataDir.removeResults(t.id)) // the retry starts with no folder
		}
		return err
	})
	if err != nil {
		t.engine.log.Error("cannot store the result of an execution", "execution", t.id, "error", p.maskers.Log.String(err.Error()))
		failed.problem = withExit(execution.ResultLost(), exit)
		if err := t.engine.dataDir.removeResults(t.id); err != nil {
			t.engine.log.Warn("cannot remove results", "execution", t.id, "error", err)
		}
		return failed
	}
	manifest, err := json.Marshal(c.manifest)
	if err != nil {
		t.engine.log.Error("cannot note the result of an execution", "execution", t.id, "error", err)
		manifest = nil
	}
	if !c.failed {
		if problem := t.stagePools(run, p, results, lw); problem != nil {
			return outcome{status: execution.Failed, problem: problem, result: manifest}
		}
		return outcome{status: execution.Succeeded, result: manifest, pools: p.mounts}
	}
	failed.result, failed.problem = manifest, c.problem
	switch {
	case exit.Limit != runner.NoLimit:
		failed.problem = limitReached(t.revision.Limits, exit.Limit)
	case failed.problem == nil:
		failed.problem = execution.ServiceFailed(exit.ExitCode, exit.Signal)
	}
	failed.problem = withExit(failed.problem, exit)
	return failed
}

// limitReached is the problem of an execution that has reached a limit.
func limitReached(l limits.Limits, limit runner.Limit) *execution.Problem {
	switch limit {
	case runner.TimeLimit:
		return execution.TimedOut(l.Time)
	case runner.OutputLimit:
		return execution.LimitReached("bytes of output", l.Output)
	case runner.FilesLimit:
		return execution.LimitReached("files and folders in its output", runner.MaxEntries)
	case runner.TempLimit:
		return execution.LimitReached("bytes of temporary files", l.Temp)
	case runner.MemoryLimit:
		return execution.LimitReached("bytes of memory", l.Memory)
	case runner.ProcessLimit:
		return execution.LimitReached("processes", int64(l.Processes))
	case runner.OpenFilesLimit:
		return execution.LimitReached("open files", int64(l.OpenFiles))
	case runner.CPUTimeLimit:
		return execution.LimitReached("milliseconds of processor time", l.CPUTime.Milliseconds())
	default:
		return execution.LimitReached(string(limit), 0)
	}
}

// withExit adds the exit code or the signal of the process, unless the problem
// has it already.
func withExit(p *execution.Problem, outcome runner.Outcome) *execution.Problem {
	if p.Extensions == nil {
		p.Extensions = map[string]any{}
	}
	name, value := "exitCode", any(outcome.ExitCode)
	if outcome.Signal != "" {
		name, value = "signal", outcome.Signal
	}
	if _, said := p.Extensions[name]; !said {
		p.Extensions[name] = value
	}
	return p
}

// resultManifest is the record of a result: its kind, its value and its files.
type resultManifest struct {
	Kind Kind `json:"kind,omitempty"`
	// Text is a small result. A large one is in a file, which Value names.
	Text  string         `json:"text,omitempty"`
	Value string         `json:"value,omitempty"`
	Files []manifestFile `json:"files,omitempty"`
}

// A manifestFile is a result file and the name of the file that holds its content
// in the data folder. A service may choose a name that this machine does not allow.
type manifestFile struct {
	ResultFile
	At string `json:"at,omitempty"` // empty: the file is the result itself
}

// collector moves the result and the result files of an execution out of its
// folder, masked.
type collector struct {
	id        execution.ID
	masker    *redact.Masker
	logWriter *logWriter
	observer  Observer
	dir       string
	failed    bool

	manifest resultManifest
	problem  *execution.Problem
	// hasResult says that the result, or the problem, was found.
	hasResult bool
	made      bool // whether dir was made
	// names holds each name in use, and the number that its next duplicate gets.
	names map[string]int
}

func (c *collector) collect(run runner.Run) error {
	artifacts, err := run.Artifacts()
	if err != nil {
		return err
	}
	defer func() { _ = artifacts.Close() }()
	files, err := artifacts.Files()
	if err != nil {
		return err
	}
	if skipped := runner.SkippedText(artifacts.Skipped(), c.masker); skipped != "" {
		c.logWriter.notice(execution.Warning, skipped)
	}
	c.names = map[string]int{}
	// The result comes first, so that the bound on files never drops it.
	slices.SortStableFunc(files, func(a, b runner.File) int { return cmp.Compare(resultRank(a.Name), resultRank(b.Name)) })
	names := 0
	for _, file := range files {
		if names += len(file.Name); len(c.manifest.Files) == maxFiles || names > maxNames {
			c.logWriter.notice(execution.Notice, fmt.Sprintf("only %d result files are kept", len(c.manifest.Files)))
			break
		}
		taken, err := c.takeResult(artifacts, file)
		if err == nil && !taken {
			err = c.takeFile(artifacts, file)
		}
		if err != nil {
			return err
		}
	}
	if c.made {
		return syncDir(c.dir)
	}
	return nil
}

// resultRank is 0 for the files that a result may be in, and 1 for others.
func resultRank(name string) int {
	if name == runner.ResultJSON || name == runner.ResultText {
		return 0
	}
	return 1
}

// takeResult reads the file if it is the result, or the problem of a failure. It
// reports whether it is.
func (c *collector) takeResult(artifacts runner.Artifacts, file runner.File) (bool, error) {
	if resultRank(file.Name) > 0 || c.hasResult || file.Size > maxValue {
		return false, nil
	}
	if !c.failed && file.Size > maxInMemory {
		return c.takeLarge(artifacts, file)
	}
	if file.Size > maxProblem {
		return false, nil
	}
	text, err := readFile(artifacts, file)
	if err != nil {
		return false, err
	}
	masked, ok := c.maskJSON(text)
	if !same(masked, text) { // the text may hold secrets
		defer clear(text)
	}
	if !ok {
		return false, nil // not valid JSON: keep it as a result file
	}
	if c.failed {
		if c.problem = readProblem(masked); c.problem == nil {
			return false, nil
		}
	} else {
		c.manifest.Kind = kindOf(masked)
	}
	c.hasResult = true
	c.addFile(file.Name, int64(len(masked)), "")
	if len(masked) <= maxInline {
		c.manifest.Text = string(masked)
		return true, nil
	}
	c.manifest.Value = "value"
	return true, c.store(c.manifest.Value, func(to *os.File) error {
		_, err := to.Write(masked)
		return err
	})
}

// kindOf returns the kind of a JSON value: an object, or any other value.
func kindOf(text []byte) Kind {
	start := strings.TrimLeft(string(text[:min(len(text), 64)]), " \t\r\n")
	if strings.HasPrefix(start, "{") {
		return Object
	}
	return Other
}

// maskJSON masks a JSON text. It reports whether the masked text is still valid
// JSON in UTF-8.
func (c *collector) maskJSON(text []byte) ([]byte, bool) {
	masked, numbers, err := masking.JSON(c.masker, text)
	if err == nil {
		c.noticeNumbers(numbers)
	}
	return masked, err == nil && (same(masked, text) || json.Valid(masked)) && utf8.Valid(masked)
}

// same reports whether two slices share the same memory.
func same(a, b []byte) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// readFile reads a whole file of an ended execution into one buffer.
func readFile(artifacts runner.Artifacts, file runner.File) ([]byte, error) {
	opened, err := artifacts.Open(file.Name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	text := make([]byte, file.Size)
	_, err = io.ReadFull(opened, text)
	return text, err
}

// readProblem reads the problem document of a service. It returns nil if the text
// is no problem document.
func readProblem(text []byte) *execution.Problem {
	var p execution.Problem
	if len(text) <= maxProblem && json.Unmarshal(text, &p) == nil && (p.Title != "" || p.Type != "") {
		return &p
	}
	return nil
}

// takeFile copies a result file.
func (c *collector) takeFile(artifacts runner.Artifacts, file runner.File) error {
	name := strings.ToValidUTF8(c.masker.String(file.Name), "\uFFFD")
	source, err := artifacts.Open(file.Name)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	at := "file-" + strconv.Itoa(len(c.manifest.Files))
	err = c.store(at, func(to *os.File) error { return c.masker.Copy(to, source) })
	if errors.Is(err, redact.ErrWithheld) {
		c.observer.Withheld()
		c.logWriter.notice(execution.Warning, fmt.Sprintf("the result file %s is withheld: it is not text and holds a secret", printable(name)))
		return os.Remove(filepath.Join(c.dir, at))
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(c.dir, at))
	if err != nil {
		return err
	}
	c.addFile(name, info.Size(), at)
	return nil
}

// printable quotes the name of a file for the log where needed: a service may put
// line ends and terminal control characters into a name.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// addFile adds a file to the manifest. It numbers duplicate names: masking can make
// thousands of names equal.
func (c *collector) addFile(name string, size int64, at string) {
	unique := name
	for c.names[unique] > 0 {
		c.names[name]++
		unique = fmt.Sprintf("%s-%d", name, c.names[name])
	}
	c.names[unique] = max(1, c.names[unique])
	c.manifest.Files = append(c.manifest.Files, manifestFile{ResultFile{unique, size}, at})
}

// store writes a file and syncs it to disk.
func (c *collector) store(name string, write func(*os.File) error) (err error) {
	if !c.made {
		if err := os.MkdirAll(c.dir, 0o700); err != nil {
			return err
		}
		c.made = true
	}
	file, err := os.OpenFile(filepath.Join(c.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := write(file); err != nil {
		return err
	}
	return file.Sync()
}

// syncDir syncs a folder, so that the names of its new files survive a power
// failure. Some systems cannot do that.
func syncDir(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = folder.Sync() // best effort: the content of the files is on disk
	return folder.Close()
}
