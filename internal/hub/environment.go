package hub

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// redacted is how the value of a secret reads back. A request with that text keeps the value:
// clients read the map, change a part of it, and write it back.
const redacted = "[redacted]"

// runtimeBody is a runtime as a request. Values of variables may be secrets.
type runtimeBody struct {
	Runtime             string              `json:"runtime"`
	Environment         map[string]variable `json:"environment"`
	ApplyProviderTokens bool                `json:"applyProviderTokens"`
}

// A variable is the value of one in a request.
type variable []byte

// UnmarshalJSON implements [encoding/json.Unmarshaler].
func (v *variable) UnmarshalJSON(raw []byte) error {
	value, err := jsontext.AppendUnquote(make([]byte, 0, len(raw)), raw)
	if err != nil {
		clear(value)
		return problem(http.StatusBadRequest, "environment: the value of each variable must be a text.")
	}
	*v = value
	return nil
}

// clear wipes the values.
func (b *runtimeBody) clear() {
	if b == nil {
		return
	}
	for _, value := range b.Environment {
		clear(value)
	}
}

// check reports the first part of a runtime that is not valid. No error repeats a value.
func (b *runtimeBody) check() error {
	if b.Runtime != "" && b.Runtime != pythonRuntime {
		return problem(http.StatusBadRequest, fmt.Sprintf("This server has the runtime %s only, and takes programs built for Linux; it does not run %.40q.", pythonRuntime, b.Runtime))
	}
	if len(b.Environment) > maxVariables {
		return problem(http.StatusBadRequest, fmt.Sprintf("A service may have %d variables.", maxVariables))
	}
	total := 0
	for name, value := range b.Environment {
		switch {
		case !variableName.MatchString(name):
			return problem(http.StatusBadRequest, fmt.Sprintf("%.40q is no name of a variable.", name))
		case reserved(name):
			return problem(http.StatusBadRequest, name+" is set by the server.")
		case environ.IsSecret(name):
			total += len(value)
			if err := plaintext.Check(value); err != nil {
				return problem(http.StatusBadRequest, fmt.Sprintf("The value of %s %v.", name, err))
			}
		case len(value) > maxVariable || bytes.IndexByte(value, 0) >= 0:
			return problem(http.StatusBadRequest, fmt.Sprintf("The value of %s has a NUL, or more than %d KiB.", name, maxVariable>>10))
		}
	}
	if total > plaintext.MaxTotal {
		return problem(http.StatusBadRequest, fmt.Sprintf("The secrets have more than %d KiB together.", plaintext.MaxTotal>>10))
	}
	return nil
}

// applyRuntime takes a checked runtime over. It replaces all variables.
func (h *Hub) applyRuntime(ctx context.Context, v *registry.Version, tenant string, given *runtimeBody) error {
	environment := map[string]string{}
	var secrets []registry.Secret
	for name, value := range given.Environment {
		if !environ.IsSecret(name) {
			environment[name] = string(value)
			continue
		}
		environment[name] = redacted
		if string(value) == redacted {
			if _, ok := v.Environment[name]; !ok {
				return problem(http.StatusBadRequest, name+" has no value that could be kept.")
			}
			continue
		}
		sealed, err := h.sealVariable(ctx, tenant, v, name, plaintext.New(value))
		if err != nil {
			return err
		}
		secrets = append(secrets, sealed)
	}
	v.Secrets, v.Environment, v.ApplyProviderTokens = secrets, environment, given.ApplyProviderTokens
	return nil
}

// sealVariable makes a new secret in the environment of a version. The caller clears the
// value.
func (h *Hub) sealVariable(ctx context.Context, tenant string, v *registry.Version, name string, value plaintext.Bytes) (registry.Secret, error) {
	place, id := secretstore.InEnvironment(tenant, v.Service, v.ID, name), uuid.NewString()
	sealed, err := h.Server.Keyring().Seal(place.Owner(id), secretstore.Sealable(value))
	if err != nil {
		return registry.Secret{}, fmt.Errorf("seal a secret of a version: %w", err)
	}
	return registry.Secret{Name: name, ID: id, SetBy: access.From(ctx).ID, Sealed: sealed}, nil
}

// note has the audit log name the secrets that a request sets.
func (b *runtimeBody) note(ctx context.Context) {
	var names []string
	for name, value := range b.Environment {
		if environ.IsSecret(name) && string(value) != redacted {
			names = append(names, name)
		}
	}
	noteSecrets(ctx, names)
}

func noteSecrets(ctx context.Context, names []string) {
	if len(names) > 0 {
		slices.Sort(names)
		audit.Note(ctx, "secrets", strings.Join(names, ","))
	}
}

// moveSecrets keeps the secrets in environments and the tokens of providers, which former
// programs have kept apart, as stored secrets.
func (h *Hub) moveSecrets(ctx context.Context) {
	ring := h.Server.Keyring()
	moved, err := h.store.MoveFormerSecrets(ctx, func(f secretstore.FormerSet) ([]secretstore.NewVersion, error) { return f.Split(ring) })
	if err != nil {
		h.Log.Error("cannot move all secrets of a former program; the next start tries again", "moved", moved, "error", err)
	} else if moved > 0 {
		h.Log.Info("secrets of a former program are stored secrets now", "sets", moved)
	}
}

// inherit gives a new version the limits and the variables of a former one, secrets among
// them: built, it takes the place of that one.
func (h *Hub) inherit(ctx context.Context, tenant string, former registry.Version, v *registry.Version) error {
	v.MilliCPU, v.MemoryMB = former.MilliCPU, former.MemoryMB
	v.Environment, v.ApplyProviderTokens = maps.Clone(former.Environment), former.ApplyProviderTokens
	all, err := h.store.EnvironmentSecrets(ctx, former.ID)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range all {
		value, err := s.Open(h.Server.Keyring())
		if err != nil {
			return err
		}
		names = append(names, s.Place.Name)
		sealed, err := h.sealVariable(ctx, tenant, v, s.Place.Name, value)
		value.Clear()
		if err != nil {
			return err
		}
		v.Secrets = append(v.Secrets, sealed)
	}
	noteSecrets(ctx, names)
	return nil
}

// variables knows the names of the secrets in the environment of versions.
type variables struct {
	mu    sync.Mutex
	known map[string]known // by the version
}

// known are the names of the secrets of a version, and whether its executions get the
// tokens of providers.
type known struct {
	names  []string
	tokens bool
}

// changed forgets a version.
func (v *variables) changed(version string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.known, version)
}

// secretsOf are those in the environment of a version, by name.
func (h *Hub) secretsOf(ctx context.Context, version string) (known, error) {
	h.variables.mu.Lock()
	defer h.variables.mu.Unlock()
	if all, ok := h.variables.known[version]; ok {
		return all, nil
	}
	found, err := h.store.Version(ctx, version)
	if err != nil {
		return known{}, err
	}
	all := known{tokens: found.ApplyProviderTokens}
	for name := range found.Environment {
		if environ.IsSecret(name) {
			all.names = append(all.names, name)
		}
	}
	if h.variables.known == nil {
		h.variables.known = map[string]known{}
	}
	h.variables.known[version] = all
	return all, nil
}

// secretNames are the names of the secrets in the environment of a version.
func (h *Hub) secretNames(ctx context.Context, version string) ([]string, error) {
	all, err := h.secretsOf(ctx, version)
	return all.names, err
}

// environment has the secrets in the environment of a version. A new value counts for the
// executions that start after it was set.
type environment struct {
	hub             *Hub
	tenant, version string
}

var _ engine.SecretResolver = (*environment)(nil)

// Has implements [engine.SecretResolver].
func (e *environment) Has(ctx context.Context, p signature.Parameter) (bool, error) {
	names, err := e.hub.secretNames(ctx, e.version)
	return slices.Contains(names, p.Env), err
}

// Resolve implements [engine.SecretResolver].
func (e *environment) Resolve(ctx context.Context, p signature.Parameter) (engine.ResolvedSecret, bool, error) {
	sealed, err := e.sealed(ctx)
	if err != nil {
		return engine.ResolvedSecret{}, false, err
	}
	for _, s := range sealed {
		if s.Place.Name == p.Env {
			value, err := s.Open(e.hub.Server.Keyring())
			return engine.ResolvedSecret{Value: value, From: fromEnvironment(s)}, err == nil, err
		}
	}
	return engine.ResolvedSecret{}, false, nil
}

// fromEnvironment describes a version of a variable.
func fromEnvironment(s secretstore.SealedVersion) string {
	return fmt.Sprintf("the environment of the service, version %d", s.Number)
}

// Masked implements [engine.SecretResolver]: executions get all that there is.
func (e *environment) Masked(context.Context) ([]plaintext.Named, error) { return nil, nil }

// all are the secrets that executions find in their environment.
func (e *environment) all(ctx context.Context) ([]plaintext.Named, error) {
	secrets, err := e.open(ctx)
	if err != nil {
		secrets.Clear()
		return nil, err
	}
	has, err := e.hub.secretsOf(ctx, e.version)
	if err == nil && has.tokens {
		var tokens map[string]plaintext.Bytes
		tokens, err = e.hub.Access.ProviderTokens(ctx, e.tenant)
		maps.Copy(secrets, tokens) // a service cannot set these variables as secrets
	}
	if err != nil {
		secrets.Clear()
		return nil, err
	}
	all := make([]plaintext.Named, 0, len(secrets))
	for name, value := range secrets {
		all = append(all, plaintext.Named{Name: name, Value: value})
	}
	slices.SortFunc(all, func(a, b plaintext.Named) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// open opens the secrets. The caller clears them, also after an error.
func (e *environment) open(ctx context.Context) (vault.Secrets, error) {
	secrets := vault.Secrets{}
	sealed, err := e.sealed(ctx)
	for _, s := range sealed {
		if err == nil {
			secrets[s.Place.Name], err = s.Open(e.hub.Server.Keyring())
		}
	}
	return secrets, err
}

// sealed are the secrets in the environment.
func (e *environment) sealed(ctx context.Context) ([]secretstore.SealedVersion, error) {
	names, err := e.hub.secretNames(ctx, e.version)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	return e.hub.store.EnvironmentSecrets(ctx, e.version)
}
