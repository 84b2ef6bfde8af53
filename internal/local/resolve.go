package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/hint"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// resolve checks and prepares all parameters, so that the service runs only if none is
// missing. It returns all errors at once.
func (r *running) resolve(context.Context) error {
	if err := r.checkNames(); err != nil {
		return err
	}
	pools, poolErr := r.findPools()
	request, inputErr := r.request()
	secretErr := r.findSecrets(request)
	if err := hint.Join(inputErr, secretErr, poolErr); err != nil {
		return err
	}
	for name, dir := range pools {
		if err := r.dir.LinkDataPool(name, dir); err != nil {
			return err
		}
	}
	if request == nil {
		return r.dir.LinkInputs(r.service.Workspace.InputDir())
	}
	return r.dir.WriteInputs(request.Inputs)
}

// checkNames refuses secrets and data pools that the service does not have.
func (r *running) checkNames() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(r.options.Secrets)) {
		if p, ok := r.signature.Lookup(name); !ok || p.Kind != signature.Secret {
			errs = append(errs, usagef("--secret %s: the service has no such secret%s", name, choices(r.signature, signature.Secret)))
		}
	}
	for _, pool := range r.options.DataPools {
		if p, ok := r.signature.Lookup(pool.Name); !ok || p.Kind != signature.DataPool {
			errs = append(errs, usagef("--datapool %s: the service has no such data pool%s", pool.Name, choices(r.signature, signature.DataPool)))
		}
	}
	return hint.Join(errs...)
}

func choices(s *signature.Signature, kind signature.Kind) string {
	names := s.Names(kind)
	if len(names) == 0 {
		return "; it has none"
	}
	return "; it has: " + strings.Join(names, ", ")
}

// bodyError is the error of an input that the service does not accept.
type bodyError struct{ err error }

func (e bodyError) Error() string {
	return "the input is not what the service takes:\n" + e.err.Error()
}
func (e bodyError) Unwrap() error { return e.err }
func (e bodyError) Hint() string  { return "`qhubctl describe` shows what it takes" }

// request validates the body. It returns nil if the input is in files. The body may
// leave out secrets and data pools, which have other sources too.
func (r *running) request() (*signature.Request, error) {
	if r.options.Body == nil {
		return nil, r.checkInputFiles()
	}
	relaxed := r.signature.WithOptional(func(p signature.Parameter) bool {
		return p.Kind != signature.Input
	})
	validator, err := relaxed.Compile()
	if err != nil {
		return nil, err
	}
	request, err := validator.Request(r.options.Body)
	if err != nil {
		return nil, bodyError{err}
	}
	return request, nil
}

// checkInputFiles checks that every required input has a file.
func (r *running) checkInputFiles() error {
	dir := r.service.Workspace.InputDir()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot read the input files: %w", err)
	}
	var there []string
	for _, entry := range entries {
		stem, _, _ := strings.Cut(entry.Name(), ".")
		there = append(there, stem)
	}
	var missing []string
	for _, p := range r.signature.Of(signature.Input) {
		if p.Required && !slices.Contains(there, p.Name) {
			missing = append(missing, p.Name)
		}
	}
	if len(missing) > 0 {
		return &missingInputError{missing, filepath.Join(dir, missing[0]+".json")}
	}
	return nil
}

type missingInputError struct {
	names []string
	file  string
}

func (e *missingInputError) Error() string {
	return "the service needs an input that is not given: " + strings.Join(e.names, ", ")
}

func (e *missingInputError) Hint() string {
	return fmt.Sprintf("give it with -d '{%q: …}', or put it into %s", e.names[0], e.file)
}

type missingPoolError struct{ names []string }

func (e *missingPoolError) Error() string {
	return "the service needs a data pool that is not there: " + strings.Join(e.names, ", ")
}

func (e *missingPoolError) Hint() string {
	return fmt.Sprintf("put its files into input/%[1]s, or name its folder: --datapool %[1]s=DIR", e.names[0])
}

// findPools finds the folders of the data pools.
func (r *running) findPools() (map[string]string, error) {
	pools := map[string]string{}
	var missing []string
	var errs []error
	for _, p := range r.signature.Of(signature.DataPool) {
		switch dir, err := r.poolDir(p.Name); {
		case err != nil:
			errs = append(errs, err)
		case dir != "":
			pools[p.Name] = dir
		case p.Required:
			missing = append(missing, p.Name)
		}
	}
	if len(missing) > 0 {
		errs = append(errs, &missingPoolError{missing})
	}
	return pools, hint.Join(errs...)
}

// findSecrets collects the secrets that the service declares, and no others. The request
// is nil if it was refused: the secrets in it do not count as missing.
func (r *running) findSecrets(request *signature.Request) error {
	var missing []signature.Parameter
	var errs []error
	sent := r.sentSecrets(request)
	for _, p := range r.signature.Of(signature.Secret) {
		found, ok := r.options.Secrets[p.Name] // --secret takes precedence over the request
		if !ok && request != nil {
			found.Value, ok = request.Secrets[p.Name]
			found.From = "the request"
		}
		if !ok {
			found, ok = r.finder.Find(p)
		}
		switch {
		case ok:
			if err := r.secrets.Add(p, found.Value); err != nil {
				errs = append(errs, &secretref.RefusedError{Parameter: p.Name, From: found.From, Reason: err})
			}
		case p.Required && !sent[p.Name]:
			missing = append(missing, p)
		}
	}
	errs = append(errs, r.secrets.Err())
	if len(missing) > 0 {
		errs = append(errs, &secretref.MissingError{Parameters: missing})
	}
	if err := hint.Join(errs...); err != nil {
		return err
	}
	for _, warning := range append(r.secrets.Warnings(), build.UntakenWarnings(r.finder, r.signature)...) {
		r.reporter.Warn("%s", warning)
	}
	r.maskResults(request)
	return nil
}

// sentSecrets returns the names of the secrets in a refused body. If the body is no JSON
// object, its names cannot be read, and it returns all secrets.
func (r *running) sentSecrets(request *signature.Request) map[string]bool {
	sent := map[string]bool{}
	if request != nil || !signature.HasSecrets(r.options.Body) {
		return sent
	}
	var body struct {
		Secrets map[string]json.RawMessage `json:"$secrets"`
	}
	if json.Unmarshal(r.options.Body, &body) != nil {
		for _, name := range r.signature.Names(signature.Secret) {
			sent[name] = true
		}
	}
	for name := range body.Secrets {
		sent[name] = true
	}
	return sent
}

// maskResults makes the masker of the results: it knows the secrets that the
// service declares, from every source.
func (r *running) maskResults(request *signature.Request) {
	r.secrets.Mask(r.finder.AllValues(), r.signature)
	var inputs map[string]json.RawMessage
	if request != nil {
		inputs = request.Inputs
	}
	r.results = r.secrets.Maskers().Result(inputs)
}
