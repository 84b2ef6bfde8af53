package reference

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// ProgramName is the name of the program that fetches values.
const ProgramName = "qhubctl-refs"

// maxHead is how long the first line of an answer may be.
const maxHead = 4 << 10

// find finds the program: beside this one, or in PATH.
func (o Options) find() (string, error) {
	if o.Program != "" {
		return filepath.Abs(o.Program)
	}
	name := ProgramName
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(self); err == nil {
			self = resolved
		}
		beside := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", ErrNoProgram
	}
	return filepath.Abs(found)
}

// Available returns an error if the program that fetches values is not there.
func (o Options) Available() error {
	path, err := o.find()
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return &MissingError{path}
	}
	return nil
}

// A MissingError says that the program that fetches values is not there.
type MissingError struct{ path string }

func (e *MissingError) Error() string {
	if e.path != "" {
		return "the program " + e.path + ", which resolves references, is not there"
	}
	return ErrNoProgram.Error() + "; it resolves references"
}

// Hint says how to get it.
func (e *MissingError) Hint() string {
	return "put " + ProgramName + " of the same release beside qhubctl or into a folder of PATH; from the sources, `make build` makes both"
}

// Unwrap returns [ErrNoProgram].
func (e *MissingError) Unwrap() error { return ErrNoProgram }

// run has the program fetch a value. The caller clears it.
func (o Options) run(ctx context.Context, parsed Reference) (plaintext.Bytes, error) {
	path, err := o.find()
	if err != nil {
		return plaintext.Bytes{}, missing(parsed, &MissingError{path})
	}
	request, err := json.Marshal(Request{Reference: parsed.String(), Dir: o.Policy.dir})
	if err != nil {
		return plaintext.Bytes{}, err
	}
	command := environ.Command(ctx, path)
	command.Env = clientEnvironment(command.Env)
	command.Stdin = bytes.NewReader(request)
	command.WaitDelay = time.Second // a child of the program may still hold the pipe
	output := answerText{text: make([]byte, 0, maxHead+plaintext.MaxSize+2)}
	defer output.wipe()
	command.Stdout = &output
	if err := command.Run(); err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			return plaintext.Bytes{}, missing(parsed, &MissingError{path})
		}
		reason := "it could not be started"
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			reason = fmt.Sprintf("it ended with %s", exit.ProcessState)
		}
		return plaintext.Bytes{}, &Error{Reference: parsed, Reason: ProgramName + " failed: " + reason}
	}
	return output.value(parsed)
}

func missing(parsed Reference, err *MissingError) error {
	return &Error{Reference: parsed, Reason: err.Error(), Advice: err.Hint()}
}

// clientEnvironment leaves out the variables that would change what a reference means, or
// have the clients write requests to a log.
func clientEnvironment(entries []string) []string {
	kept := make([]string, 0, len(entries))
	for _, entry := range entries {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "VALS_") && name != "AWS_SDK_GO_LOG_LEVEL" && name != "GODEBUG" {
			kept = append(kept, entry)
		}
	}
	return kept
}

// answerText takes what the program prints into memory that can be wiped: no buffer of
// io.Copy sees it.
type answerText struct{ text []byte }

// ReadFrom implements [io.ReaderFrom]. It drops text beyond the room for an answer.
func (a *answerText) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.ReadFull(r, a.text[len(a.text):cap(a.text)])
	a.text = a.text[:len(a.text)+n]
	if err == nil {
		var dropped int64
		dropped, err = io.Copy(io.Discard, r)
		return int64(n) + dropped, err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return int64(n), err
}

// Write implements [io.Writer], which package exec asks for.
func (a *answerText) Write(p []byte) (int, error) {
	n, err := a.ReadFrom(bytes.NewReader(p))
	return int(n), err
}

func (a *answerText) wipe() { clear(a.text[:cap(a.text)]) }

// value reads the answer. The value is a copy.
func (a *answerText) value(parsed Reference) (plaintext.Bytes, error) {
	head, value, ok := bytes.Cut(a.text, []byte("\n"))
	var answer Answer
	if !ok || len(head) > maxHead || json.Unmarshal(head, &answer) != nil {
		return plaintext.Bytes{}, &Error{Reference: parsed, Reason: ProgramName + " gave no answer", Advice: "use " + ProgramName + " of the same release"}
	}
	if answer.Problem != "" {
		return plaintext.Bytes{}, &Error{Reference: parsed, Reason: answer.Problem}
	}
	return plaintext.New(bytes.Clone(value)), nil
}
