package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
)

// A Report is the outcome of a run. Its JSON is the output of `run --output json`.
type Report struct {
	// Status is SUCCEEDED, FAILED or CANCELLED, as in the Service API.
	Status   string `json:"status"`
	ExitCode int    `json:"exitCode"`
	Signal   string `json:"signal,omitempty"`
	// Result is the value that run returned, or the problem document of a failed
	// service.
	Result  json.RawMessage `json:"result,omitempty"`
	Problem json.RawMessage `json:"problem,omitempty"`
	// Files are the paths of the result files.
	Files []string `json:"files"`

	// timedOut is the timeout that ended the service, or zero.
	timedOut time.Duration
}

// These are the states of a [Report].
const (
	Succeeded = "SUCCEEDED"
	Failed    = "FAILED"
	Cancelled = "CANCELLED"
)

// collect reads the result of the service and exports its result files.
func (r *running) collect() (Report, error) {
	report := Report{Status: Succeeded, ExitCode: r.outcome.ExitCode, Signal: r.outcome.Signal, Files: []string{}}
	artifacts, err := r.dir.OpenOutput()
	if err != nil {
		return report, &ResultError{err}
	}
	defer func() { _ = artifacts.Close() }()
	left, err := runner.ReadResult(artifacts)
	if err != nil {
		return report, &ResultError{err}
	}
	value := r.maskResult(left.Value)
	switch {
	case r.stopped:
		report.Status = Cancelled
	case r.timedOut || r.outcome.ExitCode != 0:
		report.Status, report.Problem = Failed, value
	default:
		report.Result = value
	}
	if r.timedOut {
		report.timedOut = r.options.Timeout
	}
	if !r.stopped {
		if report.Files, err = r.exportFiles(artifacts, left); err != nil {
			return report, &ResultError{errors.New(r.masker.String(err.Error()))} // the error may name files of the service
		}
	}
	return report, nil
}

// maskResult masks the result. The masked text is still JSON.
func (r *running) maskResult(value []byte) json.RawMessage {
	if len(value) == 0 {
		return nil
	}
	masked, numbers, err := masking.JSON(r.results, value)
	if err != nil { // not JSON: a service may write output.json itself
		masked, _ = json.Marshal(r.results.String(string(value))) // a string always encodes
	}
	if numbers > 0 {
		r.reporter.Warn("numbers of the result that hold a secret are masked, and are texts now: %d", numbers)
	}
	return masked
}

// exportFiles copies the files of the service, masked, to the user's output folder.
func (r *running) exportFiles(artifacts runner.Artifacts, left runner.Result) ([]string, error) {
	dir := r.options.OutputDir
	if dir == "" {
		dir = filepath.Join(r.service.Workspace.Dir, "out")
	}
	if skipped := runner.SkippedText(left.Skipped, r.masker); skipped != "" {
		r.reporter.Warn("%s", skipped)
	}
	paths, names := []string{}, exportedNames{}
	for _, name := range left.Files {
		masked := r.results.String(name)
		as := names.next(masked)
		path, err := runner.Export(artifacts, name, dir, as, r.results)
		if errors.Is(err, redact.ErrWithheld) {
			r.reporter.Warn("%v", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		names.take(as)
		if as != masked {
			r.reporter.Warn("several result files are called %q once their secrets are masked; one of them is %q now", masked, as)
		}
		r.reporter.Say("result file: %s", path)
		paths = append(paths, path)
	}
	return paths, nil
}

// exportedNames holds the names of exported files, each with the number of its last
// duplicate. Masking can make thousands of names equal.
type exportedNames map[string]int

// next returns an unused name that is as similar as possible to the wanted one.
func (n exportedNames) next(name string) string {
	extension := filepath.Ext(name)
	stem := strings.TrimSuffix(name, extension)
	if stem == "" { // .name
		stem, extension = name, ""
	}
	unique := name
	for n[unique] > 0 {
		n[name]++
		unique = fmt.Sprintf("%s-%d%s", stem, n[name], extension)
	}
	return unique
}

func (n exportedNames) take(name string) { n[name] = max(1, n[name]) }

// Err returns the error of a service that failed, or nil. The log has the traceback.
func (r Report) Err() error {
	switch {
	case r.Status != Failed:
		return nil
	case r.timedOut > 0:
		return fmt.Errorf("the service was ended: it ran longer than %s (--timeout)", r.timedOut)
	default:
		return &failedError{r}
	}
}

// failedError is the error of a service that has failed.
type failedError struct{ report Report }

func (e *failedError) Error() string {
	var problem struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(e.report.Problem, &problem) // without a document the problem stays empty
	switch {
	case problem.Title != "" && problem.Detail != "" && problem.Detail != problem.Title:
		return fmt.Sprintf("the service failed: %s: %s", problem.Title, problem.Detail)
	case problem.Title != "":
		return "the service failed: " + problem.Title
	case e.report.Signal != "":
		return "the service was ended by " + e.report.Signal
	default:
		return fmt.Sprintf("the service failed with exit code %d", e.report.ExitCode)
	}
}

func (e *failedError) Hint() string {
	if e.report.Signal == "SIGKILL" {
		return "the system may have been short of memory"
	}
	return ""
}
