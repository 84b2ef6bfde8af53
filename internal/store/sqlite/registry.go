package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/store"
)

var _ registry.Store = (*Store)(nil)

// defaultServices is the length of a page of services or revisions.
const defaultServices = 1000

const (
	serviceColumns = `id, tenant_id, name, publication, created_at, texts`

	insertService = `INSERT INTO services (` + serviceColumns + `) VALUES ($1, $2, $3, $4, $5, $6)
	ON CONFLICT DO NOTHING`

	selectService = `SELECT ` + serviceColumns + ` FROM services WHERE id = $1`

	selectServiceNamed = `SELECT ` + serviceColumns + ` FROM services WHERE tenant_id = $1 AND name = $2`

	selectServices = `SELECT ` + serviceColumns + ` FROM services WHERE tenant_id = $1
	ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3`

	selectPublicServices = `SELECT ` + serviceColumns + ` FROM services WHERE publication = 'PUBLIC' AND $1 = ''
	ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3`

	updateService = `UPDATE services SET publication = $1, texts = $2 WHERE id = $3`

	deleteService = `DELETE FROM services WHERE id = $1`

	versionColumns = `id, service_id, version, active_revision, created_at, settings`

	insertVersion = `INSERT INTO service_versions (` + versionColumns + `, source) VALUES ($1, $2, $3, $4, $5, $6, $7)
	ON CONFLICT DO NOTHING`

	selectVersion = `SELECT ` + versionColumns + ` FROM service_versions WHERE id = $1`

	selectVersions = `SELECT ` + versionColumns + ` FROM service_versions WHERE service_id = $1 ORDER BY created_at, id`

	updateVersion = `UPDATE service_versions SET settings = $1, source = $2 WHERE id = $3`

	updateActive = `UPDATE service_versions SET active_revision = $1 WHERE id = $2`
)

type serviceRow struct {
	s       registry.Service
	created int64
	texts   string
}

func (r *serviceRow) into() []any {
	s := &r.s
	return []any{&s.ID, &s.Tenant, &s.Name, &s.Publication, &r.created, &r.texts}
}

func (r *serviceRow) service() (registry.Service, error) {
	r.s.CreatedAt = fromMicros(sql.NullInt64{Int64: r.created, Valid: true})
	err := json.Unmarshal([]byte(r.texts), &r.s.Texts)
	return r.s, err
}

type versionRow struct {
	v        registry.Version
	created  int64
	settings string
}

func (r *versionRow) into() []any {
	v := &r.v
	return []any{&v.ID, &v.Service, &v.Version, &v.Active, &r.created, &r.settings}
}

func (r *versionRow) version() (registry.Version, error) {
	r.v.CreatedAt = fromMicros(sql.NullInt64{Int64: r.created, Valid: true})
	err := json.Unmarshal([]byte(r.settings), &r.v.Settings)
	return r.v, err
}

// ofRegistry gives errors of the store the words of the registry.
func ofRegistry(verb string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, store.ErrNotFound) {
		err = registry.ErrNotFound
	}
	return fmt.Errorf("%s: %w", verb, err)
}

// CreateService implements [registry.Store].
func (s *Store) CreateService(ctx context.Context, created registry.Service, first registry.Version) error {
	texts, err := json.Marshal(created.Texts)
	if err != nil {
		return fmt.Errorf("create a service: %w", err)
	}
	return ofRegistry("create a service", s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		n, err := t.exec(insertService, created.ID, created.Tenant, created.Name, string(created.Publication), micros(t.now), string(texts))
		if err == nil && n == 0 {
			err = registry.ErrNameTaken
		}
		if err != nil {
			return err
		}
		return addVersion(t, first)
	}))
}

func addVersion(t *tx, v registry.Version) error {
	settings, err := json.Marshal(v.Settings)
	if err != nil {
		return err
	}
	n, err := t.exec(insertVersion, v.ID, v.Service, v.Version, v.Active, micros(t.now), string(settings), v.Source)
	if err == nil && n == 0 {
		err = registry.ErrNameTaken
	}
	if err != nil {
		return err
	}
	return changeEnvironment(t, v)
}

// Service implements [registry.Store].
func (s *Store) Service(ctx context.Context, id string) (registry.Service, error) {
	var r serviceRow
	if err := s.readOne(ctx, selectService, []any{id}, r.into()...); err != nil {
		return registry.Service{}, ofRegistry("read a service", err)
	}
	return r.service()
}

// ServiceNamed implements [registry.Store].
func (s *Store) ServiceNamed(ctx context.Context, tenant, name string) (registry.Service, error) {
	var r serviceRow
	if err := s.readOne(ctx, selectServiceNamed, []any{tenant, name}, r.into()...); err != nil {
		return registry.Service{}, ofRegistry("read a service", err)
	}
	return r.service()
}

// Services implements [registry.Store].
func (s *Store) Services(ctx context.Context, tenant string, p registry.Page) ([]registry.Service, error) {
	query := selectServices
	if tenant == "" {
		query = selectPublicServices
	}
	services := []registry.Service{}
	err := s.read(ctx, query, []any{tenant, cmp.Or(p.Limit, defaultServices), p.Offset}, func(row scanner) error {
		var r serviceRow
		if err := row.Scan(r.into()...); err != nil {
			return err
		}
		one, err := r.service()
		services = append(services, one)
		return err
	})
	return services, ofRegistry("list services", err)
}

// ChangeService implements [registry.Store].
func (s *Store) ChangeService(ctx context.Context, id string, change func(*registry.Service) error) (changed registry.Service, err error) {
	err = s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		var r serviceRow
		if err := t.row(selectService, []any{id}, r.into()...); err != nil {
			return err
		}
		if changed, err = r.service(); err != nil {
			return err
		}
		if err := change(&changed); err != nil {
			return err
		}
		texts, err := json.Marshal(changed.Texts)
		if err != nil {
			return err
		}
		_, err = t.exec(updateService, string(changed.Publication), string(texts), id)
		return err
	})
	return changed, ofRegistry("change a service", err)
}

// DeleteService implements [registry.Store].
func (s *Store) DeleteService(ctx context.Context, id string) error {
	return ofRegistry("delete a service", s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		n, err := t.exec(deleteService, id)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		if err == nil {
			_, err = t.destroySecretVersions(destroyRemoved, stamp(t.now))
		}
		return err
	}))
}

// AddVersion implements [registry.Store].
func (s *Store) AddVersion(ctx context.Context, v registry.Version) error {
	return ofRegistry("add a version", s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		var r serviceRow
		if err := t.row(selectService, []any{v.Service}, r.into()...); err != nil {
			return err
		}
		return addVersion(t, v)
	}))
}

// Version implements [registry.Store].
func (s *Store) Version(ctx context.Context, id string) (registry.Version, error) {
	var r versionRow
	if err := s.readOne(ctx, selectVersion, []any{id}, r.into()...); err != nil {
		return registry.Version{}, ofRegistry("read a version", err)
	}
	return r.version()
}

// Versions implements [registry.Store].
func (s *Store) Versions(ctx context.Context, service string) ([]registry.Version, error) {
	versions := []registry.Version{}
	err := s.read(ctx, selectVersions, []any{service}, func(row scanner) error {
		var r versionRow
		if err := row.Scan(r.into()...); err != nil {
			return err
		}
		one, err := r.version()
		versions = append(versions, one)
		return err
	})
	return versions, ofRegistry("list versions", err)
}

// ChangeVersion implements [registry.Store].
func (s *Store) ChangeVersion(ctx context.Context, id string, change func(*registry.Version) error) (changed registry.Version, err error) {
	err = s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		if changed, err = versionIn(t, id); err != nil {
			return err
		}
		if err := change(&changed); err != nil {
			return err
		}
		settings, err := json.Marshal(changed.Settings)
		if err != nil {
			return err
		}
		if err := changeEnvironment(t, changed); err != nil {
			return err
		}
		_, err = t.exec(updateVersion, string(settings), changed.Source, id)
		return err
	})
	changed.Secrets = nil
	return changed, ofRegistry("change a version", err)
}

func versionIn(t *tx, id string) (registry.Version, error) {
	var r versionRow
	if err := t.row(selectVersion, []any{id}, r.into()...); err != nil {
		return registry.Version{}, err
	}
	return r.version()
}
