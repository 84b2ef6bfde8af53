package sqlite

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/store"
)

const (
	serviceShareColumns = `id, service_id, tenant_id, tenant_kind, role, created_at, valid_from, valid_until`

	upsertServiceShare = `INSERT INTO service_shares (` + serviceShareColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
	ON CONFLICT (service_id, tenant_id) DO UPDATE SET role = excluded.role`

	selectServiceShares = `SELECT ` + serviceShareColumns + ` FROM service_shares WHERE service_id = $1 ORDER BY created_at, id`

	selectServiceSharesWith = `SELECT ` + serviceShareColumns + ` FROM service_shares WHERE tenant_id = $1 ORDER BY created_at, id`

	selectServiceShareWith = `SELECT ` + serviceShareColumns + ` FROM service_shares WHERE service_id = $1 AND tenant_id = $2`

	selectServiceShare = `SELECT ` + serviceShareColumns + ` FROM service_shares WHERE service_id = $1 AND id = $2`

	updateServiceShare = `UPDATE service_shares SET role = $1, valid_from = $2, valid_until = $3 WHERE id = $4`

	deleteServiceShare = `DELETE FROM service_shares WHERE service_id = $1 AND id = $2`

	deleteServiceSharesWith = `DELETE FROM service_shares WHERE tenant_id = $1`
)

type serviceShareRow struct {
	registry.Share
	created, from, until int64
}

func (r *serviceShareRow) into() []any {
	return []any{&r.ID, &r.Service, &r.Tenant, &r.TenantKind, &r.Role, &r.created, &r.from, &r.until}
}

func (r *serviceShareRow) share() registry.Share {
	r.CreatedAt, r.ValidFrom, r.ValidUntil = moment(r.created), moment(r.from), moment(r.until)
	return r.Share
}

// PutShare implements [registry.Shares].
func (s *Store) PutShare(ctx context.Context, given registry.Share) (kept registry.Share, err error) {
	err = s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		var service serviceRow
		if err := t.row(selectService, []any{given.Service}, service.into()...); err != nil {
			return err
		}
		_, err := t.exec(upsertServiceShare, given.ID, given.Service, given.Tenant, given.TenantKind, given.Role, micros(t.now), stamp(given.ValidFrom), stamp(given.ValidUntil))
		if err != nil {
			return err
		}
		var r serviceShareRow
		err = t.row(selectServiceShareWith, []any{given.Service, given.Tenant}, r.into()...)
		kept = r.share()
		return err
	})
	return kept, ofRegistry("share a service", err)
}

func (s *Store) serviceShares(ctx context.Context, query, key string) ([]registry.Share, error) {
	shares := []registry.Share{}
	err := s.read(ctx, query, []any{key}, func(row scanner) error {
		var r serviceShareRow
		err := row.Scan(r.into()...)
		shares = append(shares, r.share())
		return err
	})
	return shares, ofRegistry("list shares", err)
}

// Shares implements [registry.Shares].
func (s *Store) Shares(ctx context.Context, service string) ([]registry.Share, error) {
	return s.serviceShares(ctx, selectServiceShares, service)
}

// SharesWith implements [registry.Shares].
func (s *Store) SharesWith(ctx context.Context, tenant string) ([]registry.Share, error) {
	return s.serviceShares(ctx, selectServiceSharesWith, tenant)
}

// ShareWith implements [registry.Shares].
func (s *Store) ShareWith(ctx context.Context, service, tenant string) (registry.Share, error) {
	var r serviceShareRow
	err := s.readOne(ctx, selectServiceShareWith, []any{service, tenant}, r.into()...)
	return r.share(), ofRegistry("read a share", err)
}

// ChangeShare implements [registry.Shares].
func (s *Store) ChangeShare(ctx context.Context, service, id string, change func(*registry.Share) error) (changed registry.Share, err error) {
	err = s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		var r serviceShareRow
		if err := t.row(selectServiceShare, []any{service, id}, r.into()...); err != nil {
			return err
		}
		changed = r.share()
		if err := change(&changed); err != nil {
			return err
		}
		_, err := t.exec(updateServiceShare, changed.Role, stamp(changed.ValidFrom), stamp(changed.ValidUntil), id)
		return err
	})
	return changed, ofRegistry("change a share", err)
}

// DeleteShare implements [registry.Shares].
func (s *Store) DeleteShare(ctx context.Context, service, id string) error {
	return ofRegistry("end a share", s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		n, err := t.exec(deleteServiceShare, service, id)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		return err
	}))
}
