package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/secretset"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// prepared is an execution that is ready to start, with its secrets opened.
type prepared struct {
	job runner.Job
	// set has the values to mask. maskers can be used after [prepared.awaitMaskers].
	set     secretset.Set
	maskers *masking.Maskers
	// masked is closed when the maskers are made. panicked is the cause of a panic on the
	// way.
	making   sync.Once
	masked   chan struct{}
	panicked any
	// notices are lines for the log.
	notices []string
	// pins are the versions of stored secrets that the execution gets, by parameter.
	pins map[string]int64
	// used are the secrets of the server that the execution gets.
	used []UsedSecret
	// mounts are the data pools of the execution; nil if it has none, or shared ones.
	mounts PoolMounts
	// started returns the memory of a large request to the budget.
	started func()
}

// handedOver drops large inputs once the process has them. The masker then treats
// the result as if no part of it came from the caller.
func (p *prepared) handedOver() {
	size := 0
	for _, value := range p.job.Inputs {
		size += len(value)
	}
	if size > store.MaxClaimed {
		p.job.Inputs = nil
	}
	p.started()
}

func (p *prepared) clearSecrets() {
	for _, s := range p.job.Secrets {
		s.Value.Clear()
	}
	p.job.Secrets = nil
}

// makeMaskers makes the maskers while the process starts, which leaves a processor idle.
// The values must stay unchanged meanwhile.
func (p *prepared) makeMaskers() {
	p.making.Do(func() {
		build := func() {
			defer close(p.masked)
			defer func() { p.panicked = recover() }()
			p.maskers = p.set.Maskers()
		}
		if p.set.Empty() {
			build()
			return
		}
		go build()
	})
}

// awaitMaskers waits until the maskers are made. It returns the cause of a panic on the
// way, or nil.
func (p *prepared) awaitMaskers() any {
	<-p.masked
	return p.panicked
}

// logMasker waits for the masker of the log. It panics if there is none, which ends the
// log: it could show a secret.
func (p *prepared) logMasker() *redact.Masker {
	if cause := p.awaitMaskers(); cause != nil {
		panic(cause) //nolint:forbidigo // the caller recovers
	}
	return p.maskers.Log
}

// clear wipes all secrets, and ends the use of data pools. The maskers mask nothing
// afterwards.
func (p *prepared) clear() {
	p.making.Do(func() { close(p.masked) }) // nothing needs them any more
	<-p.masked
	p.clearSecrets()
	if p.mounts != nil {
		p.mounts.Close()
	}
	if p.maskers != nil {
		p.maskers.Clear()
	}
}

// prepare reads the request, opens its secrets, and finds the secrets and data pools
// that the server adds. A problem says why the service cannot start.
func (t *task) prepare() (*prepared, *execution.Problem) {
	payload := t.claimed.Request
	if payload == nil && t.claimed.RequestSize > 0 {
		var err error
		if payload, err = t.engine.store.Request(t.engine.ctx, t.id); err != nil {
			t.engine.log.Error("cannot read a stored request", "execution", t.id, "error", err)
			return nil, execution.Internal()
		}
	}
	var request storedRequest
	if err := json.Unmarshal(payload, &request); err != nil {
		t.engine.log.Error("cannot read a stored request", "execution", t.id, "error", err)
		return nil, execution.Internal()
	}
	p := &prepared{pins: request.Pins, masked: make(chan struct{}), job: runner.Job{
		ID: t.id, Inputs: request.Inputs, DirPool: t.engine.dataDir.scratch,
		Limits: t.revision.Limits,
	}}
	p.job.Limits.Grace = cmp.Or(p.job.Limits.Grace, defaultGrace)
	if accepted := t.claimed.Execution.ServiceRevision; accepted != t.revision.ID {
		if problem := t.recheck(request); problem != nil {
			return nil, problem
		}
		p.notices = append(p.notices, fmt.Sprintf(
			"the service has changed since this execution was accepted: it runs as revision %s instead of %s", t.revision.ID, accepted))
	}
	if problem := t.findDataPools(p, request); problem != nil {
		return nil, problem
	}
	if problem := t.openSecrets(p, request.Pins); problem != nil {
		p.clear()
		return nil, problem
	}
	return p, nil
}

// recheck validates a request that an earlier revision has accepted.
func (t *task) recheck(request storedRequest) *execution.Problem {
	body, err := request.body()
	if err != nil {
		return execution.Internal()
	}
	again, err := t.revision.check(t.ctx, body)
	if errs, ok := errors.AsType[signature.Errors](err); ok {
		return execution.ServiceChanged(errs)
	}
	if err != nil {
		return execution.Internal()
	}
	again.Clear()
	return nil
}

func (t *task) findDataPools(p *prepared, request storedRequest) *execution.Problem {
	if t.revision.Resolvers.Pools != nil {
		return t.mountPools(p, request)
	}
	p.job.DataPools = map[string]string{}
	for _, parameter := range t.revision.Signature.Of(signature.DataPool) {
		var reference *signature.DataPoolReference
		if given, ok := request.DataPools[parameter.Name]; ok {
			reference = &given.DataPoolReference
		}
		dir, err := t.revision.Resolvers.dataPool(t.ctx, parameter, reference)
		unusable, ok := errors.AsType[*PoolError](err)
		switch {
		case ok:
			return execution.StartFailed(fmt.Sprintf("The data pool %s cannot be used: %v.", parameter.Name, unusable))
		case err != nil:
			t.engine.log.Error("cannot find a data pool", "execution", t.id, "parameter", parameter.Name, "error", err)
			return execution.StartFailed(fmt.Sprintf("The data pool %s cannot be used. The operator finds the reason in the server's log.", parameter.Name))
		case dir != "":
			p.job.DataPools[parameter.Name] = dir
		case parameter.Required || reference != nil:
			return execution.StartFailed(fmt.Sprintf("The data pool %s is not there any more.", parameter.Name))
		}
	}
	return nil
}

// openSecrets collects the secrets that the service declares, and no others. A value
// of the request takes precedence over the server's.
func (t *task) openSecrets(p *prepared, pins map[string]int64) *execution.Problem {
	early := t.openEarly(pins)
	defer early.discard() // what nothing has taken
	given, err := t.engine.config.Keyring.Open(vault.ExecutionOwner(string(t.id)), t.claimed.Secrets)
	if err != nil {
		t.engine.log.Error("cannot open the secrets of an execution", "execution", t.id, "error", err)
		if missing, ok := errors.AsType[*vault.KeyError](err); ok {
			return execution.MasterKeyMissing(missing.Version, missing.ID)
		}
		return execution.SecretsUnavailable()
	}
	defer func() { given.Clear() }() // those that no parameter has taken
	stored, problem := t.openPins(early)
	if problem != nil {
		return problem
	}
	var missing []string
	var set secretset.Set
	defer func() { p.job.Secrets = set.Secrets() }() // clear wipes them there
	for _, parameter := range t.revision.Signature.Of(signature.Secret) {
		found, ok, err := t.secret(given, stored, parameter)
		if err != nil {
			t.engine.log.Error("cannot fetch a secret", "execution", t.id, "secret", parameter.Name, "error", err)
			if source, ok := errors.AsType[*SourceError](err); ok {
				return execution.SecretUnavailable(source.Reason)
			}
			return execution.SecretsUnavailable()
		}
		if !ok {
			if parameter.Required {
				missing = append(missing, parameter.Name)
			}
			continue
		}
		if found.From != ofRequest {
			p.used = append(p.used, UsedSecret{parameter.Name, found.Owner, found.From})
		}
		if err := set.Add(parameter, found.Value); err != nil {
			t.engine.log.Error("a secret is refused", "execution", t.id, "secret", parameter.Name, "from", found.From, "because", err)
			return execution.SecretRefused(parameter.Name, found.From == ofRequest, err)
		}
		if err := set.Err(); err != nil {
			return execution.SecretsTooLarge(err)
		}
	}
	if len(missing) > 0 {
		return execution.SecretsMissing(missing...)
	}
	if problem := t.addEnvironment(p, &set); problem != nil {
		return problem
	}
	if problem := t.addToken(early, &set); problem != nil {
		return problem
	}
	masked, err := t.masked()
	if err != nil {
		t.engine.log.Error("cannot learn which values to mask", "execution", t.id, "error", err)
		return execution.SecretsUnavailable()
	}
	set.Mask(masked, t.revision.Signature)
	p.notices = append(p.notices, set.Warnings()...)
	p.set = set
	return nil
}

// addEnvironment adds the secrets that the service finds in its environment.
func (t *task) addEnvironment(p *prepared, set *secretset.Set) *execution.Problem {
	if t.revision.Resolvers.Environment == nil {
		return nil
	}
	all, err := t.revision.Resolvers.Environment(t.ctx)
	if err != nil {
		t.engine.log.Error("cannot open the secrets of the environment", "execution", t.id, "error", err)
		return execution.SecretsUnavailable()
	}
	for _, variable := range all {
		if t.revision.Signature.TakesVariable(variable.Name) {
			variable.Value.Clear()
			continue
		}
		p.used = append(p.used, UsedSecret{Name: variable.Name, From: "the environment of the service"})
		if addErr := set.Add(signature.Parameter{Name: variable.Name, Env: variable.Name, Kind: signature.Secret}, variable.Value); err == nil {
			err = addErr
		}
	}
	if err == nil {
		err = set.Err()
	}
	if err != nil {
		return execution.SecretsTooLarge(err)
	}
	return nil
}

// addToken adds the token of the execution, if its service gets one.
func (t *task) addToken(early *early, set *secretset.Set) *execution.Problem {
	token, ok, err := early.takeToken()
	if err == nil && ok {
		err = set.Add(signature.Parameter{Name: signature.ExecutionToken, Env: signature.ExecutionToken, Kind: signature.Secret}, token)
	}
	if err != nil {
		t.engine.log.Error("cannot make the token of an execution", "execution", t.id, "error", err)
		return execution.SecretsUnavailable()
	}
	return nil
}

// masked returns the server's values that the execution must not show.
func (t *task) masked() ([]plaintext.Named, error) {
	if t.revision.Resolvers.Secrets == nil {
		return nil, nil
	}
	return t.revision.Resolvers.Secrets.Masked(t.ctx)
}

// ofRequest names the source of the secrets that came with a request.
const ofRequest = "the request"

// secret returns the value for a parameter and its source. The caller wipes the
// value.
func (t *task) secret(given vault.Secrets, stored pinned, p signature.Parameter) (s ResolvedSecret, ok bool, err error) {
	if value, ok := given[p.Name]; ok {
		delete(given, p.Name) // the caller owns it now
		return ResolvedSecret{Value: value, From: ofRequest}, true, nil
	}
	if found, ok := stored[p.Name]; ok {
		delete(stored, p.Name) // the same
		return found, true, nil
	}
	if t.revision.Resolvers.Secrets == nil {
		return s, false, nil
	}
	return t.revision.Resolvers.Secrets.Resolve(t.ctx, p)
}
