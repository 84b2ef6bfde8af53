package local

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/interrupt"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/secretset"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// grace is how long a service may take to end after it is asked to.
const grace = 10 * time.Second

// running is the state of one run.
type running struct {
	reporter Reporter
	options  Options

	service   *build.Service
	finder    *secretref.Finder
	masker    *redact.Masker // for the log
	results   *redact.Masker // for the result, its files and problems
	log       []*maskedLog
	dir       *runner.Dir
	execution process.Execution // already started, as it describes the service first
	signature *signature.Signature
	secrets   secretset.Set
	outcome   process.Outcome
	timedOut  bool
	stopped   bool
}

func (r *running) close() {
	if r.execution != nil {
		r.execution.Stop(interrupt.Terminate, 0)
		_, _ = r.execution.Wait()
		for _, w := range r.log {
			_ = w.Close() // it passes on the text that it holds back; the error is already reported
		}
	}
	r.secrets.Clear()
	clear(r.options.Body)
	if r.dir != nil {
		if err := r.dir.Remove(); err != nil {
			r.reporter.Warn("cannot remove the folder of the execution: %v", err)
		}
	}
}

// openService prepares the workspace, and a masker for all values that may be secrets:
// the description of the service is not known yet.
func (r *running) openService(ctx context.Context) error {
	var err error
	if r.service, err = build.Open(ctx, r.options.Service, r.reporter); err != nil {
		return err
	}
	if err := r.resolveReferences(ctx); err != nil {
		return err
	}
	r.finder = secretref.NewFinder(r.options.Secrets, r.service.Files)
	given := secretsOf(r.options.Body)
	r.service.Mask(append(r.finder.AllValues(), given...))
	for _, value := range given {
		value.Value.Clear()
	}
	r.masker = r.service.Masker
	return nil
}

// secretsOf returns the strings under $secrets of a body that is not validated yet.
func secretsOf(body []byte) []plaintext.Named {
	var request struct {
		Secrets map[string]jsontext.Value `json:"$secrets"`
	}
	if len(body) == 0 || json.Unmarshal(body, &request) != nil {
		return nil
	}
	var values []plaintext.Named
	for name, raw := range request.Secrets {
		if text, err := jsontext.AppendUnquote(nil, raw); err == nil && len(text) <= plaintext.MaxSize {
			values = append(values, plaintext.Named{Name: signature.EnvName(name), Value: plaintext.New(text)})
		}
	}
	return values
}

func (r *running) placeDir(context.Context) error {
	dir, err := runner.NewDir("")
	if err == nil {
		r.dir = &dir
	}
	return err
}

// command makes the command that runs the service. The standard output of the service is
// a part of its log; the result is in a file.
func (r *running) command() process.Command {
	r.log = []*maskedLog{newMaskedLog(r.masker, r.reporter.Log()), newMaskedLog(r.masker, r.reporter.Log())}
	command := r.service.Command(*r.dir, r.log[0], r.log[1])
	if r.options.Body != nil {
		command.Env = append(command.Env, runner.InputSource+"="+runner.InputRequest)
	}
	return command
}

// describe gets the signature from the cache, or from the process that will run the
// service.
func (r *running) describe(ctx context.Context) error {
	if described, ok := r.service.CachedSignature(); ok {
		r.signature = described
		return nil
	}
	var err error
	if r.execution, err = r.service.Program.Start(r.command(), true); err != nil {
		return err
	}
	r.signature, err = r.service.Describe(ctx, r.execution)
	return err
}

// execute runs the service to its end.
func (r *running) execute(ctx context.Context) error {
	if r.execution == nil {
		var err error
		if r.execution, err = r.service.Program.Start(r.command(), false); err != nil {
			return err
		}
	}
	e := r.execution
	ended := make(chan struct{})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		r.watch(ctx, e, ended)
	}()
	started := e.Run(r.secrets.Secrets())
	outcome, err := e.Wait()
	if started != nil {
		err = started
	}
	r.execution, r.outcome = nil, outcome
	close(ended)
	<-watching
	for _, w := range r.log {
		if closed := w.Close(); err == nil && closed != nil && !errors.Is(closed, os.ErrClosed) {
			err = closed
		}
	}
	return err
}

// watch ends the service after its timeout or when the user interrupts it. The first
// interrupt asks the service to end, the second one kills it.
func (r *running) watch(ctx context.Context, e process.Execution, ended <-chan struct{}) {
	var again <-chan os.Signal
	var timeout <-chan time.Time
	if r.options.Timeout > 0 {
		timer := time.NewTimer(r.options.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	cancelled := ctx.Done()
	for {
		select {
		case <-ended:
			return
		case <-timeout:
			r.timedOut = true
			e.Stop(interrupt.Terminate, grace)
		case <-cancelled:
			cancelled, r.stopped = nil, true
			asked := interrupt.Terminate
			if by, ok := interrupt.Of(ctx); ok {
				asked, again = by.Signal, by.Again
			}
			e.Stop(asked, grace)
		case s := <-again:
			e.Stop(s, grace)
		}
	}
}
