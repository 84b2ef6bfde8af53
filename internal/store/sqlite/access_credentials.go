package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
)

// CreateInvitation implements [access.Members].
func (a accessStore) CreateInvitation(ctx context.Context, i access.Invitation, digest []byte) error {
	return a.change(ctx, "make an invitation", func(t *tx) error {
		return isNew(t.exec(insertInvitation, i.ID, i.Organization.ID, i.Invitee, i.Inviter.ID, string(i.Role),
			string(i.Status), digest, stamp(i.CreatedAt), stamp(i.ExpiresAt)))
	})
}

// An invitationRow scans an invitation with its organization and its inviter.
type invitationRow struct {
	access.Invitation
	organization, inviter tenantRow
	created, expires      int64
}

func (r *invitationRow) into() []any {
	own := []any{&r.ID, &r.Invitee, &r.Role, &r.Status, &r.created, &r.expires}
	return append(append(own, r.organization.into()...), r.inviter.into()...)
}

func (r *invitationRow) invitation() access.Invitation {
	r.Organization, r.Inviter = r.organization.tenant(), r.inviter.tenant()
	r.CreatedAt, r.ExpiresAt = moment(r.created), moment(r.expires)
	return r.Invitation
}

// Invitations implements [access.Members].
func (a accessStore) Invitations(ctx context.Context, organization, invitee string) ([]access.Invitation, error) {
	invitations := []access.Invitation{}
	err := a.s.read(ctx, selectInvitations, []any{organization, invitee}, func(row scanner) error {
		var r invitationRow
		err := row.Scan(r.into()...)
		invitations = append(invitations, r.invitation())
		return err
	})
	return invitations, forAccess("list invitations", err)
}

// DecideInvitation implements [access.Members].
func (a accessStore) DecideInvitation(ctx context.Context, d access.Decision) (access.Invitation, error) {
	var decided access.Invitation
	err := a.change(ctx, "decide on an invitation", func(t *tx) error {
		query, key := selectInvitation, []any{d.ID, d.User}
		if d.Digest != nil {
			query, key = selectInvitationByDigest, []any{d.Digest}
		}
		var r invitationRow
		if err := t.row(query, key, r.into()...); err != nil {
			return err
		}
		decided = r.invitation()
		if decided.Status != access.InvitationPending || !d.Now.Before(decided.ExpiresAt) ||
			decided.Invitee != "" && decided.Invitee != d.User {
			return access.ErrNotFound
		}
		decided.Status = d.Status
		if err := found(t.exec(updateInvitation, string(d.Status), decided.ID)); err != nil || d.Status != access.InvitationAccepted {
			return err
		}
		t.auditIn = decided.Organization.ID
		return join(t, d, decided)
	})
	return decided, err
}

// join makes a user a member, and what the decision wants made first. A member keeps
// the higher of two roles.
func join(t *tx, d access.Decision, i access.Invitation) error {
	if d.NewUser.ID != "" {
		if err := createTenant(t, d.NewUser); err != nil {
			return err
		}
	}
	if d.NewToken.ID != "" {
		if err := createToken(t, d.NewToken, d.NewTokenDigest); err != nil {
			return err
		}
	}
	role := i.Role
	var has access.Role
	if err := t.row(selectRole, []any{i.Organization.ID, d.User}, &has); err == nil && has.Includes(role) {
		role = has
	}
	_, err := t.exec(upsertMember, i.Organization.ID, d.User, string(role), stamp(d.Now))
	return err
}

// DeleteInvitation implements [access.Members].
func (a accessStore) DeleteInvitation(ctx context.Context, organization, id string) error {
	return a.change(ctx, "withdraw an invitation", func(t *tx) error { return found(t.exec(deleteInvitation, organization, id)) })
}

// A tokenRow scans the columns of a token.
type tokenRow struct {
	access.Token
	scopes                 string
	created, used, expires int64
	digest                 []byte
}

func (r *tokenRow) into() []any {
	return []any{&r.ID, &r.User, &r.Name, &r.Prefix, &r.scopes, &r.created, &r.used, &r.expires, &r.digest}
}

func (r *tokenRow) token() access.Token {
	r.Scopes = []access.Scope{}
	for word := range strings.FieldsSeq(r.scopes) {
		r.Scopes = append(r.Scopes, access.Scope(word))
	}
	r.CreatedAt, r.UsedAt, r.ExpiresAt = moment(r.created), moment(r.used), moment(r.expires)
	return r.Token
}

func createToken(t *tx, k access.Token, digest []byte) error {
	words := make([]string, 0, len(k.Scopes))
	for _, scope := range k.Scopes {
		words = append(words, string(scope))
	}
	return isNew(t.exec(insertToken, k.ID, k.User, k.Name, k.Prefix, strings.Join(words, " "), digest,
		stamp(k.CreatedAt), stamp(k.ExpiresAt)))
}

// CreateToken implements [access.Tokens].
func (a accessStore) CreateToken(ctx context.Context, token access.Token, digest []byte) error {
	return a.change(ctx, "make a token", func(t *tx) error { return createToken(t, token, digest) })
}

// Tokens implements [access.Tokens].
func (a accessStore) Tokens(ctx context.Context, user string) ([]access.Token, error) {
	tokens := []access.Token{}
	err := a.s.read(ctx, selectTokens, []any{user}, func(row scanner) error {
		var r tokenRow
		err := row.Scan(r.into()...)
		tokens = append(tokens, r.token())
		return err
	})
	return tokens, forAccess("list tokens", err)
}

// TokenByDigest implements [access.Tokens].
func (a accessStore) TokenByDigest(ctx context.Context, digest []byte) (access.Token, []byte, error) {
	var r tokenRow
	err := a.s.readOne(ctx, selectTokenByDigest, []any{digest}, r.into()...)
	return r.token(), r.digest, forAccess("read a token", err)
}

// DeleteToken implements [access.Tokens].
func (a accessStore) DeleteToken(ctx context.Context, user, id string) error {
	return a.change(ctx, "revoke a token", func(t *tx) error { return found(t.exec(deleteToken, user, id)) })
}

// MarkUsed implements [access.Tokens]. A loss of power may undo it.
func (a accessStore) MarkUsed(ctx context.Context, used map[string]time.Time) error {
	err := a.s.writer.do(ctx, survivesCrash, func(t *tx) error {
		for id, at := range used {
			for _, query := range []string{updateTokenUsed, updateAccessKeyUsed} {
				if _, err := t.exec(query, stamp(at), id); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return forAccess("note the use of tokens", err)
}

// SigningKeys implements [access.SigningKeys].
func (a accessStore) SigningKeys(ctx context.Context) ([]access.SigningKey, error) {
	var keys []access.SigningKey
	err := a.s.read(ctx, selectSigningKeys, nil, func(row scanner) error {
		var k access.SigningKey
		var sealed []byte
		var created int64
		err := row.Scan(&k.ID, &k.Public, &sealed, &created)
		k.Sealed, k.CreatedAt = sealed, moment(created)
		keys = append(keys, k)
		return err
	})
	return keys, forAccess("read the keys that sign tokens", err)
}

// AddSigningKey implements [access.SigningKeys].
func (a accessStore) AddSigningKey(ctx context.Context, k access.SigningKey, unlessAfter time.Time) error {
	return a.change(ctx, "add a key that signs tokens", func(t *tx) error {
		var newest sql.NullInt64
		if err := t.row(selectNewestSigningKey, nil, &newest); err != nil {
			return err
		}
		if newest.Valid && newest.Int64 > stamp(unlessAfter) {
			return nil
		}
		if _, err := t.exec(insertSigningKey, k.ID, k.Public, []byte(k.Sealed), stamp(k.CreatedAt)); err != nil {
			return err
		}
		n, err := t.exec(deleteSigningKeys)
		t.destroyed = t.destroyed || n > 0
		return err
	})
}
