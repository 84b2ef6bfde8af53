package sqlite

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/secretstore"
)

const (
	upsertHook = `INSERT INTO secret_rotations (secret_seq, command, webhook, every, keep, set_by, due_at, last_at, last_error)
	VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '')
	ON CONFLICT (secret_seq) DO UPDATE SET command = $2, webhook = $3, every = $4, keep = $5, set_by = $6, due_at = $7`

	deleteHook = `DELETE FROM secret_rotations WHERE secret_seq = $1`

	rotationColumns = `r.command, r.webhook, r.every, r.keep, r.set_by, r.due_at, r.last_at, r.last_error`

	selectRotation = `SELECT ` + rotationColumns + ` FROM secret_rotations r JOIN secrets s ON s.seq = r.secret_seq WHERE s.removed = 0
	AND s.service_id = $1 AND s.subscription_id = $2 AND s.tenant_id = $3 AND s.name = $4`

	selectDueRotations = `SELECT ` + secretColumns + `, ` + rotationColumns + ` FROM secret_rotations r JOIN secrets s ON s.seq = r.secret_seq
	WHERE s.removed = 0 AND r.due_at > 0 AND r.due_at <= $1 ORDER BY r.due_at LIMIT $2`

	// A hook without a schedule stays without one.
	updateRotation = `UPDATE secret_rotations SET last_at = $1, last_error = $2, due_at = CASE WHEN every = 0 THEN 0 ELSE CAST($3 AS BIGINT) END WHERE secret_seq = $4`
)

// A rotationScan scans the values of a rotation.
type rotationScan struct {
	secretstore.Rotation
	every, keep, due, last int64
}

func (r *rotationScan) into() []any {
	return []any{&r.Command, &r.Webhook, &r.every, &r.keep, &r.SetBy, &r.due, &r.last, &r.LastError}
}

func (r *rotationScan) rotation() secretstore.Rotation {
	r.Every, r.Keep = time.Duration(r.every)*time.Microsecond, time.Duration(r.keep)*time.Microsecond
	r.DueAt, r.LastAt = moment(r.due), moment(r.last)
	return r.Rotation
}

// SetHook implements [secretstore.Store].
func (s secretStore) SetHook(ctx context.Context, p secretstore.Place, h secretstore.Hook, due time.Time) error {
	return s.change(ctx, "set the hook of a secret", func(t *tx) error {
		seq, err := t.secretSeq(p)
		if err == nil {
			_, err = t.exec(upsertHook, seq, h.Command, h.Webhook, h.Every.Microseconds(), h.Keep.Microseconds(), h.SetBy, stamp(due))
		}
		return err
	})
}

// RemoveHook implements [secretstore.Store].
func (s secretStore) RemoveHook(ctx context.Context, p secretstore.Place) error {
	return s.change(ctx, "remove the hook of a secret", func(t *tx) error {
		seq, err := t.secretSeq(p)
		if err != nil {
			return err
		}
		return found(t.exec(deleteHook, seq))
	})
}

// Rotation implements [secretstore.Store].
func (s secretStore) Rotation(ctx context.Context, p secretstore.Place) (secretstore.Rotation, error) {
	var r rotationScan
	err := s.s.readOne(ctx, selectRotation, []any{p.Service, p.Subscription, p.Tenant, p.Name}, r.into()...)
	return r.rotation(), forAccess("read the hook of a secret", err)
}

// DueRotations implements [secretstore.Store].
func (s secretStore) DueRotations(ctx context.Context, now time.Time, limit int) (due []secretstore.DueRotation, err error) {
	err = s.s.read(ctx, selectDueRotations, []any{stamp(now), limit}, func(row scanner) error {
		var d secretstore.DueRotation
		var r rotationScan
		err := row.Scan(append(placeInto(&d.Place), r.into()...)...)
		d.Rotation = r.rotation()
		due = append(due, d)
		return err
	})
	return due, forAccess("find secrets to rotate", err)
}

// Rotated implements [secretstore.Store].
func (s secretStore) Rotated(ctx context.Context, v secretstore.NewVersion, due time.Time) error {
	return s.change(ctx, "rotate a secret", func(t *tx) error {
		seq, err := t.secretSeq(v.Place)
		if err != nil {
			return err
		}
		v.Existing = true
		if err := putVersion(t, v, 0); err != nil {
			return err
		}
		_, err = t.exec(updateRotation, stamp(v.SetAt), "", stamp(due), seq)
		return err
	})
}

// RotationFailed implements [secretstore.Store].
func (s secretStore) RotationFailed(ctx context.Context, p secretstore.Place, reason string, at, due time.Time) error {
	return s.change(ctx, "note a failed rotation", func(t *tx) error {
		seq, err := t.secretSeq(p)
		if err != nil {
			return err
		}
		return found(t.exec(updateRotation, stamp(at), reason, stamp(due), seq))
	})
}
