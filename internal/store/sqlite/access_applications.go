package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
)

// CreateApplication implements [access.Applications].
func (a accessStore) CreateApplication(ctx context.Context, app access.App, key access.StoredKey) error {
	return a.change(ctx, "make an application", func(t *tx) error {
		if err := isNew(t.exec(insertApplication, app.ID, app.Tenant, app.Name, stamp(app.CreatedAt))); err != nil {
			return err
		}
		return addKey(t, key)
	})
}

func scanApp(row scanner, more ...any) (access.App, error) {
	var app access.App
	var created int64
	err := row.Scan(append([]any{&app.ID, &app.Tenant, &app.Name, &created}, more...)...)
	app.CreatedAt = moment(created)
	return app, err
}

// Applications implements [access.Applications].
func (a accessStore) Applications(ctx context.Context, tenant string) ([]access.App, error) {
	apps := []access.App{}
	err := a.s.read(ctx, selectApplications, []any{tenant}, func(row scanner) error {
		app, err := scanApp(row)
		apps = append(apps, app)
		return err
	})
	return apps, forAccess("list applications", err)
}

// Application implements [access.Applications].
func (a accessStore) Application(ctx context.Context, tenant, id string) (access.App, error) {
	var app access.App
	var created int64
	err := a.s.readOne(ctx, selectApplication, []any{tenant, id}, &app.ID, &app.Tenant, &app.Name, &created)
	app.CreatedAt = moment(created)
	return app, forAccess("read an application", err)
}

// DeleteApplication implements [access.Applications].
func (a accessStore) DeleteApplication(ctx context.Context, tenant, id string) error {
	return a.change(ctx, "delete an application", func(t *tx) error {
		t.destroyed = true // perhaps: of its access keys
		return found(t.exec(deleteApplication, tenant, id))
	})
}

// A keyRow scans the columns of an access key.
type keyRow struct {
	access.StoredKey
	sealed                         []byte
	reveal, created, used, expires int64
}

func (r *keyRow) into() []any {
	return []any{&r.ID, &r.Application, &r.Tenant, &r.Digest, &r.sealed, &r.reveal, &r.created, &r.used, &r.expires}
}

func (r *keyRow) key() access.StoredKey {
	r.Sealed, r.RevealUntil = r.sealed, moment(r.reveal)
	r.CreatedAt, r.UsedAt, r.ExpiresAt = moment(r.created), moment(r.used), moment(r.expires)
	return r.StoredKey
}

func addKey(t *tx, k access.StoredKey) error {
	if !k.Sealed.WellFormed() {
		return fmt.Errorf("%w: the secret is not sealed", access.ErrInvalid)
	}
	return isNew(t.exec(insertAccessKey, k.ID, k.Application, k.Digest, []byte(k.Sealed),
		stamp(k.RevealUntil), stamp(k.CreatedAt), stamp(k.ExpiresAt)))
}

// AddKey implements [access.KeyStore].
func (a accessStore) AddKey(ctx context.Context, key access.StoredKey, replaced string, until time.Time) error {
	return a.change(ctx, "add an access key", func(t *tx) error {
		var app string
		if err := t.row(selectApplicationID, []any{key.Tenant, key.Application}, &app); err != nil {
			return err
		}
		now := stamp(key.CreatedAt)
		if replaced != "" {
			if err := found(t.exec(expireAccessKey, stamp(until), replaced, key.Application, now)); err != nil {
				return err
			}
		}
		var live int
		if err := t.row(countAccessKeys, []any{key.Application, now}, &live); err != nil {
			return err
		}
		if live >= access.MaxAccessKeys {
			return fmt.Errorf("%w: the application has %d live access keys; revoke one first", access.ErrConflict, live)
		}
		return addKey(t, key)
	})
}

// Keys implements [access.KeyStore].
func (a accessStore) Keys(ctx context.Context, tenant, application string, now time.Time) ([]access.StoredKey, error) {
	keys := []access.StoredKey{}
	err := a.s.read(ctx, selectAccessKeys, []any{tenant, application, stamp(now)}, func(row scanner) error {
		var r keyRow
		err := row.Scan(r.into()...)
		keys = append(keys, r.key())
		return err
	})
	return keys, forAccess("list access keys", err)
}

// Key implements [access.KeyStore].
func (a accessStore) Key(ctx context.Context, id string) (access.StoredKey, error) {
	var r keyRow
	err := a.s.readOne(ctx, selectAccessKey, []any{id}, r.into()...)
	return r.key(), forAccess("read an access key", err)
}

// DeleteKey implements [access.KeyStore].
func (a accessStore) DeleteKey(ctx context.Context, tenant, application, id string) error {
	return a.change(ctx, "revoke an access key", func(t *tx) error {
		t.destroyed = true
		return found(t.exec(deleteAccessKey, tenant, application, id))
	})
}

// HideSecrets implements [access.KeyStore].
func (a accessStore) HideSecrets(ctx context.Context, now, expiredBefore time.Time) error {
	return a.change(ctx, "destroy secrets of access keys", func(t *tx) error {
		hidden, err := t.exec(hideAccessKeys, stamp(now))
		if err != nil {
			return err
		}
		deleted, err := t.exec(deleteExpiredAccessKeys, stamp(expiredBefore))
		t.destroyed = t.destroyed || hidden+deleted > 0
		return err
	})
}

// Subscribe implements [access.Subscriptions].
func (a accessStore) Subscribe(ctx context.Context, tenant string, s access.Subscription) (access.Subscription, error) {
	made := s
	err := a.change(ctx, "make a subscription", func(t *tx) error {
		var app string
		if err := t.row(selectApplicationID, []any{tenant, s.Application.ID}, &app); err != nil {
			return err
		}
		if _, err := t.exec(insertSubscription, s.ID, s.Application.ID, s.Service, stamp(s.CreatedAt)); err != nil {
			return err
		}
		var created int64
		err := t.row(selectSubscription, []any{s.Application.ID, s.Service}, &made.ID, &created)
		made.CreatedAt = moment(created)
		return err
	})
	return made, err
}

// Subscriptions implements [access.Subscriptions].
func (a accessStore) Subscriptions(ctx context.Context, q access.SubscriptionQuery) ([]access.Subscription, error) {
	subscriptions := []access.Subscription{}
	err := a.s.read(ctx, selectSubscriptions, []any{q.Tenant, q.ID, q.Application, q.Service}, func(row scanner) error {
		var s access.Subscription
		var created int64
		app, err := scanApp(row, &s.ID, &s.Service, &created)
		s.Application, s.CreatedAt = app, moment(created)
		subscriptions = append(subscriptions, s)
		return err
	})
	return subscriptions, forAccess("list subscriptions", err)
}

// Subscribed implements [access.Subscriptions].
func (a accessStore) Subscribed(ctx context.Context, application, service string) (bool, error) {
	var n int
	err := a.s.readOne(ctx, countSubscriptions, []any{application, service}, &n)
	return n > 0, forAccess("look for a subscription", err)
}

// Unsubscribe implements [access.Subscriptions].
func (a accessStore) Unsubscribe(ctx context.Context, q access.SubscriptionQuery) (int, error) {
	var deleted int64
	err := a.change(ctx, "delete subscriptions", func(t *tx) (err error) {
		deleted, err = t.exec(deleteSubscriptions, q.Tenant, q.ID, q.Application, q.Service)
		return err
	})
	return int(deleted), err
}
