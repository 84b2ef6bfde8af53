package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime/debug"
	"strings"

	"github.com/qhubctl/qhubctl/sdk/go/internal/masking"
)

// Version of this package, as descriptions name it.
const Version = "0.1.0"

// executionToken is the variable by which an execution calls other services. It stays in
// the environment, and is a secret nevertheless.
const executionToken = "KQH_SERVICE_EXECUTION_TOKEN"

const (
	exitOK     = 0
	exitFailed = 1
)

// Main runs the service and ends the program. The main function only calls Main.
func Main[In, Out any](run func(ctx context.Context, in In) (Out, error)) {
	ctx, stop := interruptible(context.Background())
	code := Run(ctx, run, Options{Args: os.Args[1:]})
	stop()
	os.Exit(code) //nolint:forbidigo // this is the main of a service
}

// Options are the surroundings of Run. The zero Options are the environment and streams of
// the process, and no arguments.
type Options struct {
	// Args are the arguments of the program. Run reads --describe and
	// --describe=FILE, and leaves all others to the service.
	Args []string
	// Env replaces the environment of the process: the secrets, and
	// INPUT_DIRECTORY, OUTPUT_DIRECTORY and DATAPOOL_DIRECTORY. Run deletes the
	// secrets that the service declares from it.
	Env map[string]string
	// Stdout gets a description, Stderr the reason of a failed run.
	Stdout, Stderr io.Writer
}

// Run is Main without the process: it handles no signals, does not exit, and returns the
// exit code. Use it in tests.
func Run[In, Out any](ctx context.Context, run func(ctx context.Context, in In) (Out, error), o Options) int {
	x := newExecution(o)
	var sig *signature
	err := protect(func() (err error) {
		sig, err = signatureOf(reflect.TypeFor[In](), reflect.TypeFor[Out]())
		return err
	})
	if to, requested := describeArgument(o.Args); requested {
		return x.describe(sig, err, to)
	}
	if err != nil {
		return x.fail(ctx, err)
	}
	var in In
	err = protect(func() error { return sig.bind(reflect.ValueOf(&in).Elem(), x.env, &x.masker) })
	if err != nil {
		return x.fail(ctx, err)
	}
	out, err := call(context.WithValue(ctx, filesKey{}, x.files), run, in)
	if err == nil {
		err = protect(func() error { return x.files.writeResult(out) })
	}
	if err != nil {
		return x.fail(ctx, err)
	}
	return exitOK
}

// execution holds the data that all steps of one run share.
type execution struct {
	env            environment
	stdout, stderr io.Writer
	files          *Files
	masker         masking.Masker
}

func newExecution(o Options) *execution {
	x := &execution{env: environment{o.Env}, stdout: o.Stdout, stderr: o.Stderr}
	if x.stdout == nil {
		x.stdout = os.Stdout
	}
	if x.stderr == nil {
		x.stderr = os.Stderr
	}
	x.masker.Add(x.env.get(executionToken, ""))
	x.files = &Files{path: x.env.get("OUTPUT_DIRECTORY", "/var/runtime/output")}
	return x
}

// fail reports err as problem document and on standard error, and returns the exit
// code.
func (x *execution) fail(ctx context.Context, err error) int {
	code := exitFailed
	var p *Problem
	if cause, cancelled := cancellation(ctx, err); cancelled {
		p, code = cancelledProblem(cause), exitCancelled(cause)
	} else {
		p = problemOf(err)
	}
	text, masked := p.document(&x.masker)
	_, _ = fmt.Fprintf(x.stderr, "%s: %s\n", masked.Title, masked.Detail)
	if panicked, ok := errors.AsType[*panicError](err); ok {
		_, _ = fmt.Fprintf(x.stderr, "\n%s", x.masker.Text(string(panicked.stack)))
	}
	if err := x.files.write(outputJSON, text); err != nil {
		_, _ = fmt.Fprintf(x.stderr, "the problem document cannot be written: %v\n", err)
	}
	return code
}

// call calls run in a separate goroutine, so that runtime.Goexit ends run and not the
// report of it.
func call[In, Out any](ctx context.Context, run func(context.Context, In) (Out, error), in In) (out Out, err error) {
	err = errors.New("the service ended its goroutine instead of returning")
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = protect(func() (err error) {
			out, err = run(ctx, in)
			return err
		})
	}()
	<-done
	return out, err
}

// protect turns a panic of the service's code into an error. Methods of its types are
// called from many places: to read, to describe and to write values.
func protect(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{text: fmt.Sprint(value), stack: debug.Stack()}
		}
	}()
	return f()
}

// panicError is a panic of run.
type panicError struct {
	text  string
	stack []byte
}

func (e *panicError) Error() string { return e.text }

// describeArgument finds --describe; to is empty for standard output.
func describeArgument(args []string) (to string, requested bool) {
	if len(args) == 0 {
		return "", false
	}
	if file, ok := strings.CutPrefix(args[0], "--describe="); ok {
		return file, true
	}
	return "", args[0] == "--describe"
}
