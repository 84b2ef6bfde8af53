package build

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/reference"
	"github.com/qhubctl/qhubctl/internal/secretref"
)

// References makes a resolver for the references of a workspace. All schemes are allowed:
// the developer uses their own credentials. Files must be in the workspace, and no
// reference may name the address of a store. The caller closes the resolver.
func (s *Service) References() (*reference.Resolver, error) {
	policy, err := reference.NewPolicy(reference.Schemes(), s.Workspace.Dir, nil)
	if err != nil {
		return nil, err
	}
	return reference.NewResolver(reference.Options{Policy: policy})
}

// Fetch has a resolver fetch values.
func Fetch(r *reference.Resolver) secretref.Fetch {
	return func(ctx context.Context, text string) (plaintext.Bytes, error) { return r.Resolve(ctx, "", text) }
}
