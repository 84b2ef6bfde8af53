package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// prepared is an execution ready to start: its secrets are open.
type prepared struct {
	job    runner.Job
	masker *redact.Masker
	// notices are for the reader of the log.
	notices []string
}

func (p *prepared) clearSecrets() {
	for _, s := range p.job.Secrets {
		s.Value.Clear()
	}
	p.job.Secrets = nil
}

// clear wipes all. Nothing is masked any more.
func (p *prepared) clear() {
	p.clearSecrets()
	if p.masker != nil {
		p.masker.Clear()
	}
}

// prepare reads the request, opens its secrets and finds what the server adds.
// A problem says why the service cannot start.
func (w *work) prepare() (*prepared, *execution.Problem) {
	var request storedRequest
	if err := json.Unmarshal(w.claimed.Request, &request); err != nil {
		w.engine.log.Error("cannot read a stored request", "execution", w.id, "error", err)
		return nil, execution.Internal()
	}
	p := &prepared{job: runner.Job{
		ID: w.id, Inputs: request.Inputs, Folders: w.engine.folders.scratch,
		Limits: runner.Limits{
			Memory: w.revision.Limits.Memory, Processes: w.revision.Limits.Processes, CPU: w.revision.Limits.CPU,
			OpenFiles: w.revision.Limits.OpenFiles, Temp: w.revision.Limits.Temp, CPUTime: w.revision.Limits.CPUTime,
			Time: w.revision.Limits.Time, Output: w.revision.Limits.Output,
			Grace: cmp.Or(w.revision.Limits.Grace, defaultGrace),
		},
	}}
	if accepted := w.claimed.Execution.ServiceRevision; accepted != w.revision.Revision {
		if problem := w.recheck(request); problem != nil {
			return nil, problem
		}
		p.notices = append(p.notices, fmt.Sprintf(
			"the service has changed since this execution was accepted: it runs as revision %s instead of %s", w.revision.Revision, accepted))
	}
	if problem := w.findDataPools(p, request); problem != nil {
		return nil, problem
	}
	if problem := w.openSecrets(p); problem != nil {
		p.clear()
		return nil, problem
	}
	return p, nil
}

// recheck validates a request that an earlier revision has accepted.
func (w *work) recheck(request storedRequest) *execution.Problem {
	body, err := request.body()
	if err != nil {
		return execution.Internal()
	}
	again, err := w.revision.accept(body)
	if errs, ok := errors.AsType[signature.Errors](err); ok {
		return execution.ServiceChanged(errs)
	}
	if err != nil {
		return execution.Internal()
	}
	again.Clear()
	return nil
}

func (w *work) findDataPools(p *prepared, request storedRequest) *execution.Problem {
	p.job.DataPools = map[string]string{}
	for _, parameter := range w.revision.Signature.Of(signature.DataPool) {
		var reference *signature.DataPoolReference
		if given, ok := request.DataPools[parameter.Name]; ok {
			reference = &given
		}
		dir, ok := w.revision.Defaults.dataPool(parameter, reference)
		switch {
		case ok:
			p.job.DataPools[parameter.Name] = dir
		case parameter.Required || reference != nil:
			return execution.StartFailed(fmt.Sprintf("The data pool %s is not there any more.", parameter.Name))
		}
	}
	return nil
}

// openSecrets collects the secrets that the service declares, and no others:
// those of the request, then those of the server.
func (w *work) openSecrets(p *prepared) *execution.Problem {
	given, err := w.engine.config.Keyring.Open(string(w.id), w.claimed.Secrets)
	if err != nil {
		w.engine.log.Error("cannot open the secrets of an execution", "execution", w.id, "error", err)
		if missing, ok := errors.AsType[*vault.KeyError](err); ok {
			return execution.MasterKeyMissing(missing.Version, missing.ID)
		}
		return execution.SecretsUnavailable()
	}
	defer func() { given.Clear() }() // what is left of them
	var missing []string
	var known []redact.Secret
	for _, parameter := range w.revision.Signature.Of(signature.Secret) {
		value, ok := w.secret(given, parameter)
		if !ok {
			if parameter.Required {
				missing = append(missing, parameter.Name)
			}
			continue
		}
		p.job.Secrets = append(p.job.Secrets, runner.Secret{Env: parameter.Env, Value: value})
		known = append(known, redact.Secret{Name: parameter.Name, Value: value.Reveal()})
		if n := value.Len(); n > 0 && n < redact.MinLength {
			p.notices = append(p.notices, fmt.Sprintf(
				"the secret %s is shorter than %d characters and is not masked", parameter.Name, redact.MinLength))
		}
	}
	if len(missing) > 0 {
		return execution.SecretsMissing(missing...)
	}
	if w.revision.Defaults.Masked != nil {
		for _, value := range w.revision.Defaults.Masked() {
			known = append(known, redact.Secret{Value: value.Reveal()})
		}
	}
	p.masker = redact.New(known)
	return nil
}

// secret is a value that the caller wipes.
func (w *work) secret(given vault.Secrets, p signature.Parameter) (plaintext.Bytes, bool) {
	if value, ok := given[p.Name]; ok {
		delete(given, p.Name) // it is the caller's now
		return value, true
	}
	if w.revision.Defaults.Secret == nil {
		return plaintext.Bytes{}, false
	}
	value, _, ok := w.revision.Defaults.Secret(p)
	return plaintext.New(bytes.Clone(value.Reveal())), ok
}
