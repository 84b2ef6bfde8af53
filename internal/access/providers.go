package access

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// ProviderTokens keeps the sealed tokens that tenants have for providers, as versions of
// stored secrets.
type ProviderTokens interface {
	// PutProviderToken keeps a token in the place of a former one.
	PutProviderToken(ctx context.Context, tenant string, token SealedToken) error
	// ProviderTokens are the tokens of a tenant, by the name of the provider.
	ProviderTokens(ctx context.Context, tenant string) ([]SealedToken, error)
	// DeleteProviderToken removes a token.
	DeleteProviderToken(ctx context.Context, tenant string, provider Provider) error
}

// A SealedToken is one version of the token for a provider.
type SealedToken struct {
	Provider Provider
	// ID names the version for its owner in the vault.
	ID     string
	SetBy  string
	Sealed vault.Sealed
}

// owner owns the sealed values of a version. Package secretstore has the same for the
// place of the token.
func (t SealedToken) owner(tenant string) vault.Owner {
	return vault.StoredSecretOwner("PROVIDER", tenant+"//providers/"+string(t.Provider), t.ID)
}

// A ProviderToken is what a tenant has for a provider of quantum computers: values that
// executions find in their environment, by the names of the variables.
type ProviderToken struct {
	Provider Provider
	Values   map[string]plaintext.Bytes
}

// A Provider is a provider of quantum computers, by the word of the published clients.
type Provider string

// The variables of each provider that hold its token. The first is a secret.
var providers = map[Provider][]string{
	"IBM":       {"QISKIT_IBM_TOKEN"},
	"IBM_CLOUD": {"QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE"},
	"DWAVE":     {"DWAVE_API_TOKEN"},
}

// Providers are all providers, and Variables the names of a provider's values, the secret
// first. An unknown provider has none.
func Providers() []Provider { return []Provider{"DWAVE", "IBM", "IBM_CLOUD"} }

// Variables are the names of the provider's values; the first is that of the secret.
func (p Provider) Variables() []string { return providers[p] }

// inAccount checks that a person has a right in an account: its own, or an organization.
func (s *Service) inAccount(ctx context.Context, p Principal, tenant string, right Right) error {
	if p.Kind != Person || tenant != p.ID {
		return s.inOrganization(ctx, p, tenant, right)
	}
	if p.Tenant != p.ID { // the rights of p are those in an organization
		tokens, err := s.Store.Tokens(ctx, p.ID)
		if err != nil {
			return err
		}
		p.Rights = rights.ofPerson(Owner, scopesOf(tokens, p.Credential))
	}
	if !p.May(right) {
		return ErrForbidden
	}
	return nil
}

// ProvidersOf says for which providers an account has a token.
func (s *Service) ProvidersOf(ctx context.Context, p Principal, tenant string) (map[Provider]bool, error) {
	if err := s.inAccount(ctx, p, tenant, ViewTenant); err != nil {
		return nil, err
	}
	tokens, err := s.Store.ProviderTokens(ctx, tenant)
	if err != nil {
		return nil, err
	}
	has := map[Provider]bool{}
	for _, provider := range Providers() {
		has[provider] = false
	}
	for _, token := range tokens {
		has[token.Provider] = true
	}
	return has, nil
}

// SetProviderToken seals a token of an account. The caller clears the values.
func (s *Service) SetProviderToken(ctx context.Context, p Principal, tenant string, t ProviderToken) error {
	if err := s.inAccount(ctx, p, tenant, ManageKeys); err != nil {
		return err
	}
	secrets := vault.Secrets{}
	for _, name := range t.Provider.Variables() {
		value := t.Values[name]
		if value.Len() == 0 {
			return fmt.Errorf("%w: a token of this provider needs all of its values", ErrInvalid)
		}
		if err := plaintext.Check(value.Reveal()); err != nil {
			return fmt.Errorf("%w: the token %w", ErrInvalid, err)
		}
		secrets[name] = value
	}
	if len(secrets) == 0 {
		return ErrNotFound
	}
	token := SealedToken{Provider: t.Provider, ID: uuid.NewString(), SetBy: p.ID}
	var err error
	if token.Sealed, err = s.Keyring.Seal(token.owner(tenant), secrets); err != nil {
		return err
	}
	audit.Note(ctx, "secret", string(t.Provider))
	return s.Store.PutProviderToken(ctx, tenant, token)
}

// DeleteProviderToken removes a token of an account.
func (s *Service) DeleteProviderToken(ctx context.Context, p Principal, tenant string, provider Provider) error {
	if err := s.inAccount(ctx, p, tenant, ManageKeys); err != nil {
		return err
	}
	audit.Note(ctx, "secret", string(provider))
	return s.Store.DeleteProviderToken(ctx, tenant, provider)
}

// ProviderTokens opens all tokens of a tenant, for its executions. Of two tokens with the
// same variable the last counts. The caller clears the values.
func (s *Service) ProviderTokens(ctx context.Context, tenant string) (map[string]plaintext.Bytes, error) {
	tokens, err := s.Store.ProviderTokens(ctx, tenant)
	if err != nil {
		return nil, err
	}
	all := map[string]plaintext.Bytes{}
	for _, token := range tokens {
		opened, err := s.Keyring.Open(token.owner(tenant), token.Sealed)
		if err != nil {
			vault.Secrets(all).Clear()
			return nil, fmt.Errorf("open a token of a provider: %w", err)
		}
		for name, value := range opened {
			all[name].Clear()
			all[name] = value
		}
	}
	return all, nil
}
