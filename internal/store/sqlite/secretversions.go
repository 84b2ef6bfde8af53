package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// Secrets returns the part of the store that keeps the secrets of services.
func (s *Store) Secrets() secretstore.Store { return secretStore{s} }

// secretStore is a [secretstore.Store] in the same database.
type secretStore struct{ s *Store }

// secretVersionOwner is the owner of a row, by the name that the query makes.
func secretVersionOwner(name string) vault.Owner {
	parts := strings.SplitN(name, "/", 6)
	if len(parts) < 6 {
		return vault.Owner{}
	}
	p := secretstore.Place{Kind: secretstore.Kind(parts[0]), Tenant: parts[1], Service: parts[2], Subscription: parts[3], Name: parts[4]}
	return p.Owner(parts[5])
}

func (s secretStore) change(ctx context.Context, what string, run func(*tx) error) error {
	return forAccess(what, s.s.writer.do(ctx, survivesPowerLoss, run))
}

func numbers(all []int64) (string, error) {
	text, err := json.Marshal(all)
	return string(text), err
}

// pin writes which versions an execution pins.
func (t *tx) pin(execution int64, versions []int64) error {
	if len(versions) == 0 {
		return nil
	}
	text, err := numbers(versions)
	if err != nil {
		return err
	}
	t.w.pinned = true
	n, err := t.exec(insertPins, execution, text)
	if err == nil && n < int64(len(versions)) {
		err = store.ErrPinGone
	}
	return err
}

func placeInto(p *secretstore.Place) []any {
	return []any{&p.Kind, &p.Tenant, &p.Service, &p.Subscription, &p.Application, &p.Holder, &p.Name}
}

// A versionScan scans the values of a version.
type versionScan struct {
	secretstore.Version
	set, expires, kept, destroyed, used int64
}

func (r *versionScan) into() []any {
	return []any{&r.Number, &r.SetBy, &r.set, &r.expires, &r.kept, &r.destroyed, &r.used, &r.UsedBy, &r.Reference}
}

func (r *versionScan) version() secretstore.Version {
	r.SetAt, r.ExpiresAt, r.KeptUntil = moment(r.set), moment(r.expires), moment(r.kept)
	r.DestroyedAt, r.UsedAt = moment(r.destroyed), moment(r.used)
	return r.Version
}

// A secretRow scans a secret with its newest version.
type secretRow struct {
	secretstore.Secret
	seq           int64
	created, used int64
	newest        versionScan
}

func (r *secretRow) into() []any {
	into := append([]any{&r.seq, &r.Override, &r.created, &r.used, &r.Live}, placeInto(&r.Place)...)
	return append(into, r.newest.into()...)
}

func (r *secretRow) secret() secretstore.Secret {
	r.CreatedAt, r.UsedAt, r.Newest = moment(r.created), moment(r.used), r.newest.version()
	return r.Secret
}

// secretSeq finds a secret.
func (t *tx) secretSeq(p secretstore.Place) (seq int64, err error) {
	err = t.row(selectSecretSeq, []any{p.Service, p.Subscription, p.Tenant, p.Name, p.Holder}, &seq)
	return seq, err
}

// destroySecretVersions destroys versions that nothing pins.
func (t *tx) destroySecretVersions(query string, args ...any) (int64, error) {
	n, err := t.exec(query, args...)
	t.destroyed = t.destroyed || n > 0
	return n, err
}

// Put implements [secretstore.Store].
func (s secretStore) Put(ctx context.Context, versions []secretstore.NewVersion, limit int) error {
	return s.change(ctx, "set secrets", func(t *tx) error {
		for _, v := range versions {
			if err := putVersion(t, v, limit); err != nil {
				return err
			}
		}
		return nil
	})
}

func putVersion(t *tx, v secretstore.NewVersion, limit int) error {
	if len(v.Sealed) == 0 || !v.Sealed.WellFormed() {
		return fmt.Errorf("%w secret: the value is not sealed", access.ErrInvalid)
	}
	seq, err := t.secretSeq(v.Place)
	if err = notFound(err); err == access.ErrNotFound && !v.Existing { //nolint:errorlint // notFound returns it unwrapped
		seq, err = newSecret(t, v, limit)
	}
	if err != nil {
		return err
	}
	now := stamp(v.SetAt)
	if _, err := t.exec(replaceVersions, stamp(v.SetAt.Add(v.Keep)), seq); err != nil {
		return err
	}
	if _, err := t.destroySecretVersions(destroyOverOf, now, seq); err != nil {
		return err
	}
	if err := t.atMost(secretstore.MaxKept, "versions of "+v.Name+" that are kept or in use", countUndestroyed, seq); err != nil {
		return err
	}
	last, err := t.count(selectLastNumber, seq)
	if err != nil {
		return err
	}
	if _, err := t.exec(deleteOldVersions, seq, last+1-secretstore.MaxHistory); err != nil {
		return err
	}
	var newest int64
	if err := t.row(insertSecretVersion, []any{seq, v.ID, last + 1, v.SetBy, now, stamp(v.ExpiresAt), []byte(v.Sealed), v.Reference}, &newest); err != nil {
		return err
	}
	_, err = t.exec(updateNewest, newest, stamp(v.ExpiresAt), string(v.Override), seq)
	return err
}

func notFound(err error) error {
	if err == store.ErrNotFound { //nolint:errorlint // tx.row returns it unwrapped
		return access.ErrNotFound
	}
	return err
}

// newSecret makes a secret, whose service or subscription must exist.
func newSecret(t *tx, v secretstore.NewVersion, limit int) (seq int64, err error) {
	if v.Holder == "" {
		if err := t.atMost(limit, "secrets", countSecrets, v.Tenant); err != nil {
			return 0, err
		}
	}
	if v.Kind == secretstore.OfService || v.Kind == secretstore.OfSubscription {
		if err := t.atMost(secretstore.MaxOfService, "secrets of this service", countSecretsOfService, v.Service, v.Subscription); err != nil {
			return 0, err
		}
	}
	n := 1
	switch v.Kind {
	case secretstore.OfSubscription:
		n, err = t.count(countSubscription, v.Subscription, v.Application, v.Service)
	case secretstore.OfService:
		n, err = t.count(countService, v.Service)
	case secretstore.OfEnvironment:
		n, err = t.count(countVersion, v.Holder, v.Service)
	case secretstore.OfTenant, secretstore.OfProvider:
	}
	if err == nil && n == 0 {
		err = access.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	override := v.Override
	if override == "" {
		override = secretstore.OverrideOwn
	}
	err = t.row(insertSecret, []any{string(v.Kind), v.Tenant, v.Service, v.Subscription, v.Application, v.Holder, v.Name, string(override), stamp(v.SetAt)}, &seq)
	return seq, err
}

// Secrets implements [secretstore.Store].
func (s secretStore) Secrets(ctx context.Context, q secretstore.Query) (secrets []secretstore.Secret, total int, err error) {
	unbound, limit := 0, q.Limit
	if q.Unbound {
		unbound = 1
	}
	if limit == 0 {
		limit = math.MaxInt32 // none
	}
	args := []any{stamp(q.Now), q.Tenant, string(q.Kind), q.Service, q.Application, stamp(q.ExpiresBefore), unbound, q.BoundTo}
	var seqs []int64
	err = s.s.read(ctx, selectSecrets, append(args[:len(args):len(args)], limit, q.Offset), func(row scanner) error {
		var r secretRow
		err := row.Scan(r.into()...)
		secrets, seqs = append(secrets, r.secret()), append(seqs, r.seq)
		return err
	})
	if err == nil {
		err = s.bindings(ctx, secrets, seqs)
	}
	if err == nil {
		err = s.s.readOne(ctx, countSecretsOf, args, &total)
	}
	return secrets, total, forAccess("list secrets", err)
}

// bindings adds the bindings to secrets.
func (s secretStore) bindings(ctx context.Context, secrets []secretstore.Secret, seqs []int64) error {
	places, wanted := map[int64]int{}, []int64{}
	for i, seq := range seqs {
		if secrets[i].Kind == secretstore.OfTenant {
			places[seq] = i
			wanted = append(wanted, seq)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	text, err := numbers(wanted)
	if err != nil {
		return err
	}
	return s.s.read(ctx, selectBindings, []any{text}, func(row scanner) error {
		var seq int64
		var b secretstore.Binding
		err := row.Scan(&seq, &b.Service, &b.Parameter)
		of := &secrets[places[seq]]
		of.Bindings = append(of.Bindings, b)
		return err
	})
}

// Secret implements [secretstore.Store].
func (s secretStore) Secret(ctx context.Context, p secretstore.Place, now time.Time) (secretstore.Secret, []secretstore.Version, error) {
	var r secretRow
	err := s.s.readOne(ctx, selectSecretAt, []any{stamp(now), p.Service, p.Subscription, p.Tenant, p.Name}, r.into()...)
	var versions []secretstore.Version
	if err == nil {
		err = s.s.read(ctx, selectSecretVersions, []any{r.seq, secretstore.MaxHistory}, func(row scanner) error {
			var v versionScan
			err := row.Scan(v.into()...)
			versions = append(versions, v.version())
			return err
		})
	}
	one := []secretstore.Secret{r.secret()}
	if err == nil {
		err = s.bindings(ctx, one, []int64{r.seq})
	}
	return one[0], versions, forAccess("read a secret", err)
}

// Delete implements [secretstore.Store].
func (s secretStore) Delete(ctx context.Context, p secretstore.Place, version int, now time.Time) error {
	return s.change(ctx, "delete a secret", func(t *tx) error {
		seq, err := t.secretSeq(p)
		if err != nil {
			return err
		}
		if version > 0 {
			if err := found(t.exec(endVersion, stamp(now), seq, version)); err != nil {
				return err
			}
			_, err = t.destroySecretVersions(destroyOverOf, stamp(now), seq)
			return err
		}
		return t.removeSecret(seq, now)
	})
}

// removeSecret has a secret count no more.
func (t *tx) removeSecret(seq int64, now time.Time) error {
	for _, query := range []string{removeSecret, deleteBindings} {
		if _, err := t.exec(query, seq); err != nil {
			return err
		}
	}
	_, err := t.destroySecretVersions(destroyAllOf, stamp(now), seq)
	return err
}

// SetOverride implements [secretstore.Store].
func (s secretStore) SetOverride(ctx context.Context, p secretstore.Place, o secretstore.Override) error {
	return s.change(ctx, "change a secret", func(t *tx) error {
		seq, err := t.secretSeq(p)
		if err == nil {
			_, err = t.exec(updateOverride, string(o), seq)
		}
		return err
	})
}

// Bind implements [secretstore.Store].
func (s secretStore) Bind(ctx context.Context, p secretstore.Place, b secretstore.Binding, limit int) error {
	return s.change(ctx, "bind a secret", func(t *tx) error {
		seq, err := t.secretSeq(p)
		if err != nil {
			return err
		}
		if err := t.atMost(limit, "bindings of this secret", countBindings, seq); err != nil {
			return err
		}
		n, err := t.count(countService, b.Service)
		if err == nil && n == 0 {
			err = access.ErrNotFound
		}
		if err == nil {
			_, err = t.exec(upsertBinding, b.Service, b.Parameter, seq)
		}
		return err
	})
}

// Unbind implements [secretstore.Store].
func (s secretStore) Unbind(ctx context.Context, p secretstore.Place, b secretstore.Binding) error {
	return s.change(ctx, "end the binding of a secret", func(t *tx) error {
		seq, err := t.secretSeq(p)
		if err != nil {
			return err
		}
		return found(t.exec(deleteBinding, b.Service, b.Parameter, seq))
	})
}

// Candidates implements [secretstore.Store].
func (s secretStore) Candidates(ctx context.Context, service, application string, now time.Time) (all []secretstore.Candidate, err error) {
	cache, key := &s.s.writer.secrets, candidateKey{service, application}
	if known, ok := cache.offers(key, now); ok {
		return slices.Clone(known), nil
	}
	mark, until := cache.reading(), int64(0)
	err = s.s.read(ctx, selectCandidates, []any{stamp(now), service, application}, func(row scanner) error {
		var c secretstore.Candidate
		var expires, kept int64
		err := row.Scan(append([]any{&c.Parameter, &c.Override, &c.Pin, &c.Number, &expires, &kept}, placeInto(&c.Place)...)...)
		c.ExpiresAt = moment(expires)
		for _, end := range []int64{expires, kept} {
			if end > 0 && (until == 0 || end < until) {
				until = end
			}
		}
		all = append(all, c)
		return err
	})
	if err == nil {
		cache.keepOffers(mark, key, candidates{slices.Clone(all), now, moment(until)})
	}
	return all, forAccess("find the secrets of a service", err)
}

// Sealed implements [secretstore.Store].
func (s secretStore) Sealed(ctx context.Context, pins []int64) (all []secretstore.SealedVersion, err error) {
	cache := &s.s.writer.secrets
	if known, ok := cache.values(pins); ok {
		return known, nil
	}
	mark := cache.reading()
	text, err := numbers(pins)
	if err != nil {
		return nil, err
	}
	err = s.s.read(ctx, selectSealedVersions, []any{text}, func(row scanner) error {
		v, err := scanSealedVersion(row)
		all = append(all, v)
		return err
	})
	if err == nil {
		cache.keepValues(mark, all)
	}
	return all, forAccess("read sealed secrets", err)
}

// Refresh implements [secretstore.Store].
func (s secretStore) Refresh() { s.s.writer.secrets.empty() }

// MarkUsed implements [secretstore.Store]. A loss of power may undo it.
func (s secretStore) MarkUsed(ctx context.Context, uses map[int64]secretstore.Use) error {
	err := s.s.writer.do(ctx, survivesCrash, func(t *tx) error {
		t.steady = true
		for seq, use := range uses {
			if _, err := t.exec(updateVersionUsed, stamp(use.At), use.Execution, seq); err != nil {
				return err
			}
			if _, err := t.exec(updateSecretUsed, stamp(use.At), seq); err != nil {
				return err
			}
		}
		return nil
	})
	return forAccess("note the use of secrets", err)
}

// Sweep implements [secretstore.Store].
func (s secretStore) Sweep(ctx context.Context, now time.Time) (n int, err error) {
	err = s.change(ctx, "destroy secrets", func(t *tx) error {
		n = 0
		if err := t.row(selectPinned, nil, &t.w.pinned); err != nil { // by another process, too
			return err
		}
		for _, query := range []string{destroyKept, destroyExpired, destroyRemoved} {
			destroyed, err := t.destroySecretVersions(query, stamp(now))
			if err != nil {
				return err
			}
			n += int(destroyed)
		}
		deleted, err := t.exec(deleteRemovedSecrets)
		t.steady = n == 0 && deleted == 0
		return err
	})
	return n, err
}
