package devserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/reference"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// secrets resolves secrets from the environment, the file of --env-file, and .env.
type secrets struct {
	service *service
	finder  *secretref.Finder
	// references resolves those that are references.
	references *reference.Resolver
}

var _ engine.SecretResolver = (*secrets)(nil)

// Has implements [engine.SecretResolver].
func (s *secrets) Has(_ context.Context, p signature.Parameter) (bool, error) {
	return s.finder.Has(p), nil
}

// Resolve implements [engine.SecretResolver]. The value is a copy.
func (s *secrets) Resolve(ctx context.Context, p signature.Parameter) (engine.ResolvedSecret, bool, error) {
	found, ok := s.finder.Find(p)
	if !ok {
		return engine.ResolvedSecret{}, false, nil
	}
	if found.Reference {
		fetched, err := found.Resolve(ctx, p.Name, build.Fetch(s.references))
		if err != nil {
			return engine.ResolvedSecret{}, false, &engine.SourceError{Reason: fmt.Sprintf("The secret %s could not be fetched: %v.", p.Name, errors.Unwrap(err)), Err: err}
		}
		return engine.ResolvedSecret{Value: fetched.Value, From: fetched.From}, true, nil
	}
	return engine.ResolvedSecret{Value: plaintext.New(bytes.Clone(found.Value.Reveal())), From: found.From}, true, nil
}

// Masked implements [engine.SecretResolver].
func (s *secrets) Masked(context.Context) ([]plaintext.Named, error) {
	return s.service.masked(s.finder), nil
}
