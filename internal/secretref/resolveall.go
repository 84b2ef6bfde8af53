package secretref

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/qhubctl/qhubctl/internal/hint"
)

// ResolveAll fetches the values of all references among secrets at the same time. name
// is the name of a secret in errors. The result has
// those that were fetched, and those that are no references.
func ResolveAll(ctx context.Context, all map[string]Found, name func(key string) string, fetch Fetch) (map[string]Found, error) {
	keys := slices.Sorted(maps.Keys(all))
	resolved, errs := make([]Found, len(keys)), make([]error, len(keys))
	var fetches sync.WaitGroup
	for i, key := range keys {
		fetches.Go(func() { resolved[i], errs[i] = all[key].Resolve(ctx, name(key), fetch) })
	}
	fetches.Wait()
	done := make(map[string]Found, len(all))
	for i, key := range keys {
		if errs[i] == nil {
			done[key] = resolved[i]
		}
	}
	return done, hint.Join(errs...)
}
