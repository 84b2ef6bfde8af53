package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/store"
)

// DataPools returns the part of the store that keeps data pools.
func (s *Store) DataPools() datapool.Store { return poolStore{s} }

// poolStore is a [datapool.Store] in the same database.
type poolStore struct{ s *Store }

func (p poolStore) change(ctx context.Context, what string, run func(*tx) error) error {
	return forAccess(what, p.s.writer.do(ctx, survivesPowerLoss, run))
}

// A poolRow scans the columns of a pool, and a role.
type poolRow struct {
	datapool.Pool
	tags    string
	created int64
}

func (r *poolRow) into() []any {
	return []any{&r.ID, &r.Tenant, &r.Name, &r.ShortDescription, &r.Description, &r.tags, &r.created, &r.Role}
}

func (r *poolRow) pool() (datapool.Pool, error) {
	r.CreatedAt = moment(r.created)
	err := json.Unmarshal([]byte(r.tags), &r.Tags)
	return r.Pool, err
}

func tagsText(tags []string) (string, error) {
	if tags == nil {
		tags = []string{}
	}
	text, err := json.Marshal(tags)
	return string(text), err
}

// count runs a query for one number.
func (t *tx) count(query string, args ...any) (n int, err error) {
	err = t.row(query, args, &n)
	return n, err
}

// atMost is an error unless there are fewer than limit rows.
func (t *tx) atMost(limit int, what, query string, args ...any) error {
	n, err := t.count(query, args...)
	if err == nil && n >= limit {
		err = fmt.Errorf("%w: there are %d %s", access.ErrConflict, n, what)
	}
	return err
}

// CreatePool implements [datapool.Pools].
func (p poolStore) CreatePool(ctx context.Context, pool datapool.Pool, limit int) error {
	tags, err := tagsText(pool.Tags)
	if err != nil {
		return err
	}
	return p.change(ctx, "make a data pool", func(t *tx) error {
		if err := t.atMost(limit, "data pools", countPools, pool.Tenant); err != nil {
			return err
		}
		return isNew(t.exec(insertPool, pool.ID, pool.Tenant, pool.Name, pool.ShortDescription, pool.Description, tags, stamp(pool.CreatedAt)))
	})
}

// Pool implements [datapool.Pools].
func (p poolStore) Pool(ctx context.Context, id string) (datapool.Pool, error) {
	return p.one(ctx, selectPool, id)
}

// Reachable implements [datapool.Pools].
func (p poolStore) Reachable(ctx context.Context, tenant, id string, now time.Time) (datapool.Pool, error) {
	return p.one(ctx, selectReachable, tenant, stamp(now), id)
}

func (p poolStore) one(ctx context.Context, query string, args ...any) (datapool.Pool, error) {
	var r poolRow
	if err := p.s.readOne(ctx, query, args, r.into()...); err != nil {
		return datapool.Pool{}, forAccess("read a data pool", err)
	}
	return r.pool()
}

// List implements [datapool.Pools].
func (p poolStore) List(ctx context.Context, q datapool.Query) (pools []datapool.Pool, total int, err error) {
	pools = []datapool.Pool{}
	now := stamp(q.Now)
	err = p.s.read(ctx, selectPools, []any{q.Tenant, now, q.Limit, q.Offset}, func(row scanner) error {
		var r poolRow
		if err := row.Scan(r.into()...); err != nil {
			return err
		}
		one, err := r.pool()
		pools = append(pools, one)
		return err
	})
	if err == nil {
		err = p.s.readOne(ctx, countReachable, []any{q.Tenant, now}, &total)
	}
	return pools, total, forAccess("list data pools", err)
}

// UpdatePool implements [datapool.Pools].
func (p poolStore) UpdatePool(ctx context.Context, pool datapool.Pool) error {
	tags, err := tagsText(pool.Tags)
	if err != nil {
		return err
	}
	return p.change(ctx, "change a data pool", func(t *tx) error {
		var r poolRow
		if err := t.row(selectPool, []any{pool.ID}, r.into()...); err != nil {
			return err
		}
		return isNew(t.exec(updatePool, pool.Name, pool.ShortDescription, pool.Description, tags, pool.ID))
	})
}

// DeletePool implements [datapool.Pools].
func (p poolStore) DeletePool(ctx context.Context, id string) (blobs []string, err error) {
	err = p.change(ctx, "delete a data pool", func(t *tx) error {
		blobs = nil
		err := t.rows(selectFiles, []any{id}, func(row scanner) error {
			file, err := scanFile(row)
			blobs = append(blobs, file.Blob)
			return err
		})
		if err != nil {
			return err
		}
		return found(t.exec(deletePool, id))
	})
	return blobs, err
}

// Share implements [datapool.Shares].
func (p poolStore) Share(ctx context.Context, s datapool.Share) (shared datapool.Share, err error) {
	err = p.change(ctx, "share a data pool", func(t *tx) error {
		var r poolRow
		if err := t.row(selectPool, []any{s.Pool}, r.into()...); err != nil {
			return err
		}
		_, err := t.exec(upsertShare, s.ID, s.Pool, s.Tenant, string(s.TenantKind), string(s.Role), stamp(s.ValidFrom), stamp(s.ValidUntil), stamp(s.CreatedAt))
		if err == nil {
			shared, err = t.share(selectShareOf, s.Pool, s.Tenant)
		}
		return err
	})
	return shared, err
}

func (t *tx) share(query string, args ...any) (s datapool.Share, err error) {
	err = store.ErrNotFound
	if rows := t.rows(query, args, func(row scanner) error {
		s, err = scanShare(row)
		return err
	}); rows != nil {
		err = rows
	}
	return s, err
}

func scanShare(row scanner) (datapool.Share, error) {
	var s datapool.Share
	var from, until, created int64
	err := row.Scan(&s.ID, &s.Pool, &s.Tenant, &s.TenantKind, &s.Role, &from, &until, &created)
	s.ValidFrom, s.ValidUntil, s.CreatedAt = moment(from), moment(until), moment(created)
	return s, err
}

// Shares implements [datapool.Shares].
func (p poolStore) Shares(ctx context.Context, pool string) ([]datapool.Share, error) {
	shares := []datapool.Share{}
	err := p.s.read(ctx, selectShares, []any{pool}, func(row scanner) error {
		s, err := scanShare(row)
		shares = append(shares, s)
		return err
	})
	return shares, forAccess("list the shares of a data pool", err)
}

// ChangeShare implements [datapool.Shares].
func (p poolStore) ChangeShare(ctx context.Context, pool, id string, change func(*datapool.Share) error) (changed datapool.Share, err error) {
	err = p.change(ctx, "change a share of a data pool", func(t *tx) error {
		s, err := t.share(selectShare, pool, id)
		if err == nil {
			err = change(&s)
		}
		if err != nil {
			return err
		}
		changed = s
		_, err = t.exec(updateShare, string(s.Role), stamp(s.ValidFrom), stamp(s.ValidUntil), id)
		return err
	})
	return changed, err
}

// Unshare implements [datapool.Shares].
func (p poolStore) Unshare(ctx context.Context, pool, id string) error {
	return p.change(ctx, "end a share of a data pool", func(t *tx) error { return found(t.exec(deleteShare, pool, id)) })
}

// present reports whether a query for a number finds more than zero.
func (p poolStore) present(ctx context.Context, query string, args ...any) (bool, error) {
	var n int
	err := p.s.readOne(ctx, query, args, &n)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return n > 0, err
}
