package engine

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// StoredSecrets has secrets that are kept in versions. An execution gets the versions
// that were offered when its request was accepted, however long it waits: the store pins
// them. It is safe for concurrent use.
type StoredSecrets interface {
	// Offer returns the versions that an execution of the caller of ctx gets now, by
	// parameter. It opens no value.
	Offer(ctx context.Context) (map[string]StoredVersion, error)
	// Open opens versions that an execution has pinned, by parameter. The engine wipes
	// the values. A version that is not there is left out. The caller of the execution
	// sees the reason of a [SourceError], and of no other error.
	Open(ctx context.Context, e execution.Execution, pins map[string]int64) (map[string]ResolvedSecret, error)
	// Used notes that an execution has started with the versions that it has pinned.
	Used(e execution.Execution, pins map[string]int64)
	// Denied records that the caller of ctx has tried to replace stored secrets that are
	// Fixed.
	Denied(ctx context.Context, parameters []string)
}

// A StoredVersion is a version of a stored secret.
type StoredVersion struct {
	// Version is the number that the store pins.
	Version int64
	// Fixed says that the caller may not replace the secret in its request.
	Fixed bool
	// From says where the version is stored, for the description of a parameter. Nil:
	// nothing is said. It is a function because requests have no use of the text.
	From func() string
}

// pin chooses the versions that an execution pins. A secret of the request replaces a
// stored one, which the execution then never gets.
func (r *revision) pin(ctx context.Context, request *acceptedRequest, offered map[string]StoredVersion) error {
	var errs signature.Errors
	var denied []string
	for _, p := range r.Signature.Of(signature.Secret) {
		version, ok := offered[p.Name]
		_, given := request.Secrets[p.Name]
		switch {
		case !ok:
		case given && version.Fixed:
			denied = append(denied, p.Name)
			errs = append(errs, signature.FieldError{
				Path: signature.SecretsKey + "." + p.Name, Message: "the owner of the stored secret does not let this caller replace it: leave it out",
			})
		case !given:
			if request.pins == nil {
				request.pins = map[string]int64{}
			}
			request.pins[p.Name] = version.Version
		}
	}
	if len(errs) > 0 {
		r.Resolvers.Stored.Denied(ctx, denied)
		return errs
	}
	return nil
}

// versions are the numbers of the pins, each once.
func (r *acceptedRequest) versions() []int64 {
	return slices.Compact(slices.Sorted(maps.Values(r.pins)))
}

// pinned are opened secrets by parameter.
type pinned map[string]ResolvedSecret

func (p pinned) clear() {
	for _, s := range p {
		s.Value.Clear()
	}
}

// openPins returns the stored secrets of an execution. The caller takes what it uses out of
// the map.
func (t *task) openPins(early *early) (pinned, *execution.Problem) {
	opened, err := early.pins.wait()
	if err == nil {
		return opened, nil
	}
	if source, ok := errors.AsType[*SourceError](err); ok {
		t.engine.log.Warn("cannot fetch a stored secret of an execution", "execution", t.id, "error", err)
		return nil, execution.SecretUnavailable(source.Reason)
	}
	t.engine.log.Error("cannot open the stored secrets of an execution", "execution", t.id, "error", err)
	if missing, ok := errors.AsType[*vault.KeyError](err); ok {
		return nil, execution.MasterKeyMissing(missing.Version, missing.ID)
	}
	return nil, execution.SecretsUnavailable()
}
