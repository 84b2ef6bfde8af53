package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/term"
)

// grace is how long a service may take to end when it is asked to.
const grace = 10 * time.Second

// running is one `qhubctl run`, step by step.
type running struct {
	streams *term.Streams
	options runOptions

	given     map[string]secretref.Found // by --secret
	body      []byte                     // nil: the input is files
	service   *service
	finder    *secretref.Finder
	masker    *redact.Masker // of the log
	results   *redact.Masker // of the result, its files and problems
	log       []*maskedLog
	dir       *runner.Dir
	execution process.Execution // started already, to describe itself
	signature *signature.Signature
	secrets   []process.Secret
	outcome   process.Outcome
	timedOut  bool
	stopped   bool
}

func (r *running) close() {
	if r.execution != nil {
		r.execution.Stop(terminate, 0)
		_, _ = r.execution.Wait()
		for _, w := range r.log {
			_ = w.Close() // shows what it holds back; what is wrong is said already
		}
	}
	for _, s := range r.secrets {
		s.Value.Clear()
	}
	clear(r.body)
	if r.dir != nil {
		if err := r.dir.Remove(); err != nil {
			r.streams.Warn("cannot remove the folder of the execution: %v", err)
		}
	}
}

// readInput reads what -d and --secret name.
func (r *running) readInput(ctx context.Context) error {
	var err error
	r.body, r.given, err = r.options.read(ctx, r.streams)
	return err
}

// openService prepares the workspace, and the masker with all values that may
// be secrets: they are known before the service is.
func (r *running) openService(ctx context.Context) error {
	var err error
	if r.service, err = r.options.open(ctx, r.streams); err != nil {
		return err
	}
	r.finder = secretref.NewFinder(r.given, r.service.files)
	given := secretsOf(r.body)
	r.service.mask(append(r.finder.AllValues(), given...))
	for _, value := range given {
		value.Value.Clear()
	}
	r.masker = r.service.masker
	return nil
}

// secretsOf are the strings under $secrets of a body that has not been
// validated yet.
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

// command starts nothing yet. Standard output of the service is a part of its
// log: the result goes another way.
func (r *running) command() process.Command {
	r.log = []*maskedLog{newMaskedLog(r.masker, r.streams.Log()), newMaskedLog(r.masker, r.streams.Log())}
	command := r.service.command(*r.dir, r.log[0], r.log[1])
	if r.body != nil {
		command.Env = append(command.Env, runner.InputSource+"="+runner.InputRequest)
	}
	return command
}

// describe learns the signature: from the cache, or from the process that will
// run the service.
func (r *running) describe(ctx context.Context) error {
	if described, ok := r.service.workspace.CachedSignature(r.service.key); ok {
		r.signature = described
		return nil
	}
	var err error
	if r.execution, err = r.service.program.Start(r.command(), true); err != nil {
		return err
	}
	r.signature, err = r.service.describe(ctx, r.execution)
	return err
}

// execute runs the service to its end.
func (r *running) execute(ctx context.Context) error {
	if r.execution == nil {
		var err error
		if r.execution, err = r.service.program.Start(r.command(), false); err != nil {
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
	started := e.Run(r.secrets)
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

// watch ends the service when it takes too long or the user wants it: asked
// once, killed when asked again.
func (r *running) watch(ctx context.Context, e process.Execution, ended <-chan struct{}) {
	var again <-chan os.Signal
	var timeout <-chan time.Time
	if r.options.timeout > 0 {
		timer := time.NewTimer(r.options.timeout)
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
			e.Stop(terminate, grace)
		case <-cancelled:
			cancelled, r.stopped = nil, true
			asked := terminate
			var by *interruption
			if errors.As(context.Cause(ctx), &by) {
				asked, again = by.signal, by.again
			}
			e.Stop(asked, grace)
		case s := <-again:
			e.Stop(s, grace)
		}
	}
}
