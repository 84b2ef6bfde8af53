package process

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// LauncherSource is the text of the program that a Python process runs first.
// It lies in a file beside the interpreter's caches (see package workspace).
//
//go:embed launcher.py
var LauncherSource []byte

// maxDescription bounds what a describing process may write.
const maxDescription = 16 << 20

// Python says how to run a Python service.
type Python struct {
	// Interpreter and Launcher are files, the latter with LauncherSource.
	Interpreter, Launcher string
	// Entrypoint is module:function.
	Entrypoint string
	// Describer is the file of the module that describes services, for
	// environments whose SDK cannot.
	Describer string
}

// pythonProcess is a started interpreter that waits for orders.
type pythonProcess struct {
	*Process
	python Python
	orders io.WriteCloser
	answer *firstLine // nil unless it was started to describe
}

// Files are the launcher, the environment, and the installation behind it: the
// interpreter of an environment is a link, or a chain of links, to that.
func (python Python) Files() []string {
	files := absolute(python.Launcher, python.Describer)
	for interpreter, hops := python.Interpreter, 0; hops < 16; hops++ {
		files = append(files, absolute(filepath.Dir(filepath.Dir(interpreter)))...)
		target, err := os.Readlink(interpreter)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(interpreter), target)
		}
		interpreter = target
	}
	if last, err := filepath.EvalSymlinks(python.Interpreter); err == nil {
		files = append(files, absolute(filepath.Dir(filepath.Dir(last)))...)
	}
	return files
}

// Start starts an interpreter, which waits for its orders.
func (python Python) Start(c Command, describe bool) (Execution, error) {
	c.Path = python.Interpreter
	c.Args = []string{python.Launcher}
	p := &pythonProcess{Process: newProcess(c), python: python}
	stdout := c.Stdout
	if describe {
		p.answer = &firstLine{line: make(chan []byte, 1), rest: c.Stdout}
		stdout = p.answer
	}
	orders, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", c.Path, err)
	}
	p.orders = orders
	if err := p.start(stdout, c.Stderr); err != nil {
		return nil, err
	}
	return p, nil
}

// Describe imports the service and returns its description document.
func (p *pythonProcess) Describe(ctx context.Context) ([]byte, error) {
	p.send(order{Entrypoint: p.python.Entrypoint, Describe: p.python.Describer}, nil)
	select {
	case line, ok := <-p.answer.line:
		if !ok {
			return nil, ErrNotDescribed
		}
		return line, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Run makes the process run its service with these secrets.
func (p *pythonProcess) Run(secrets []Secret) error {
	if err := CheckSecrets(secrets); err != nil {
		return err
	}
	p.send(order{Entrypoint: p.python.Entrypoint, Run: true}, secrets)
	_ = p.orders.Close()
	return nil
}

// Finish ends a process that has described its service.
func (p *pythonProcess) Finish() { _ = p.orders.Close() }

type order struct {
	Entrypoint string `json:"entrypoint"`
	Describe   string `json:"describe,omitempty"`
	Run        bool   `json:"run,omitempty"`
}

// send writes one order. A process that has ended takes none, which Wait reports.
func (p *pythonProcess) send(o order, secrets []Secret) {
	head, err := json.Marshal(o)
	if err != nil {
		panic(err) //nolint:forbidigo // strings and booleans always encode
	}
	line := append(AppendSecrets(head, secrets), '\n')
	_, _ = p.orders.Write(line)
	clear(line[:cap(line)])
}

// CheckSecrets is the last check of secrets before a process gets them. Earlier checks
// have refused others by name.
func CheckSecrets(secrets []Secret) error {
	for _, s := range secrets {
		if err := plaintext.Check(s.Value.Reveal()); err != nil {
			return fmt.Errorf("the secret in %s %w", s.Env, err)
		}
	}
	return nil
}

// AppendSecrets adds secrets to the text of a JSON object, as its last member
// "secrets": variables and values. The caller wipes the result.
func AppendSecrets(object []byte, secrets []Secret) []byte {
	size := len(object) + 32
	for _, s := range secrets {
		size += len(s.Env) + 8 + 6*s.Value.Len() // \u0000 is six bytes for one
	}
	// Room for all at once: growing would leave copies of secrets behind.
	text := append(make([]byte, 0, size), object[:len(object)-1]...)
	text = append(text, `,"secrets":{`...)
	for i, s := range secrets {
		if i > 0 {
			text = append(text, ',')
		}
		text, _ = jsontext.AppendQuote(text, s.Env)
		text = append(text, ':')
		text, _ = jsontext.AppendQuote(text, s.Value.Reveal()) // it is UTF-8
	}
	return append(text, "}}"...)
}

// firstLine keeps the first line that is written to it, and passes the rest on. It closes
// the channel without a line if the stream ends before that.
type firstLine struct {
	line chan []byte
	rest io.Writer
	got  []byte
	done bool
}

func (f *firstLine) Write(b []byte) (int, error) {
	if f.done {
		return f.rest.Write(b)
	}
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		if len(f.got)+len(b) > maxDescription {
			f.close() // the process waits for an answer, so its describer must not wait
			return 0, errors.New("the description of the service is too long")
		}
		f.got = append(f.got, b...)
		return len(b), nil
	}
	f.done = true
	f.line <- slices.Concat(f.got, b[:end])
	f.got = nil
	if len(b) > end+1 {
		if n, err := f.rest.Write(b[end+1:]); err != nil {
			return end + 1 + n, err
		}
	}
	return len(b), nil
}

// close records the end of the stream.
func (f *firstLine) close() {
	if !f.done {
		f.done = true
		close(f.line)
	}
}
