package local

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/hint"
	"github.com/qhubctl/qhubctl/internal/secretref"
)

// resolveReferences fetches the secrets that are references. It does so before the service
// starts: the masker of its log must know the values.
func (r *running) resolveReferences(ctx context.Context) error {
	given := make(map[string]secretref.Found, len(r.options.Secrets))
	for name, found := range r.options.Secrets {
		if r.options.Service.References || r.service.Workspace.References {
			found = found.UseReference()
		}
		given[name] = found
	}
	resolver, err := r.service.References()
	if err != nil {
		return err
	}
	defer func() { _ = resolver.Close() }() // it only ends processes
	fetch := build.Fetch(resolver)
	resolved, givenErr := secretref.ResolveAll(ctx, given, func(name string) string { return name }, fetch)
	fileErr := r.service.Files.Resolve(ctx, fetch)
	r.options.Secrets = resolved
	return hint.Join(givenErr, fileErr)
}
