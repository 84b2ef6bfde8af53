package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/store"
)

const (
	revisionColumns = `id, version_id, number, state, created_at, finished_at, build`

	insertRevision = `INSERT INTO service_revisions (` + revisionColumns + `, source)
	SELECT $1, $2, coalesce(max(number), 0) + 1, 'WORKING', $3, NULL, $4, $5 FROM service_revisions WHERE version_id = $2
	RETURNING ` + revisionColumns

	selectRevision = `SELECT ` + revisionColumns + ` FROM service_revisions WHERE id = $1`

	selectRevisions = `SELECT ` + revisionColumns + ` FROM service_revisions WHERE version_id = $1
	ORDER BY number DESC LIMIT $2 OFFSET $3`

	selectUnfinished = `SELECT ` + revisionColumns + ` FROM service_revisions WHERE state = 'WORKING' ORDER BY created_at, id`

	updateBuild = `UPDATE service_revisions SET state = $1, finished_at = $2, build = $3 WHERE id = $4`

	selectLastBuildLine = `SELECT coalesce(max(sequence), 0) FROM service_build_logs WHERE revision_id = $1`

	insertBuildLine = `INSERT INTO service_build_logs (revision_id, sequence, severity, logged_at, message) VALUES ($1, $2, $3, $4, $5)`

	selectBuildLog = `SELECT sequence, severity, logged_at, message FROM service_build_logs
	WHERE revision_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3`

	selectSourceUse = `SELECT count(*) FROM (
		SELECT 1 FROM service_versions WHERE source = $1 UNION ALL SELECT 1 FROM service_revisions WHERE source = $1) AS uses`
)

type revisionRow struct {
	r        registry.Revision
	created  int64
	finished sql.NullInt64
	build    string
}

func (r *revisionRow) into() []any {
	return []any{&r.r.ID, &r.r.Version, &r.r.Number, &r.r.State, &r.created, &r.finished, &r.build}
}

func (r *revisionRow) revision() (registry.Revision, error) {
	r.r.CreatedAt = fromMicros(sql.NullInt64{Int64: r.created, Valid: true})
	r.r.FinishedAt = fromMicros(r.finished)
	err := json.Unmarshal([]byte(r.build), &r.r.Build)
	return r.r, err
}

func revisionIn(t *tx, id string) (registry.Revision, error) {
	var r revisionRow
	if err := t.row(selectRevision, []any{id}, r.into()...); err != nil {
		return registry.Revision{}, err
	}
	return r.revision()
}

// BeginBuild implements [registry.Store].
func (s *Store) BeginBuild(ctx context.Context, version, id, by string) (begun registry.Revision, isNew bool, err error) {
	err = s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		isNew = false
		v, err := versionIn(t, version)
		if err != nil {
			return err
		}
		if v.Source == "" {
			return fmt.Errorf("%w build: nothing was uploaded yet", registry.ErrInvalid)
		}
		working := false
		err = t.rows(selectRevisions, []any{version, 1, 0}, func(row scanner) error {
			var r revisionRow
			if err := row.Scan(r.into()...); err != nil {
				return err
			}
			begun, err = r.revision()
			working = begun.State == registry.Working && begun.Source == v.Source && reflect.DeepEqual(begun.Settings, v.Settings)
			return err
		})
		if err != nil || working {
			return err
		}
		build, err := json.Marshal(registry.Build{Source: v.Source, By: by, Settings: v.Settings, Step: registry.Unpacking})
		if err != nil {
			return err
		}
		var r revisionRow
		if err := t.row(insertRevision, []any{id, version, micros(t.now), string(build), v.Source}, r.into()...); err != nil {
			return err
		}
		isNew = true
		begun, err = r.revision()
		return err
	})
	return begun, isNew, ofRegistry("begin a build", err)
}

// SetStep implements [registry.Store].
func (s *Store) SetStep(ctx context.Context, revision string, step registry.Step) error {
	return ofRegistry("note the step of a build", s.writer.do(ctx, survivesCrash, func(t *tx) error {
		r, err := revisionIn(t, revision)
		if err != nil || r.State != registry.Working {
			return err
		}
		r.Step = step
		return writeBuild(t, r)
	}))
}

func writeBuild(t *tx, r registry.Revision) error {
	build, err := json.Marshal(r.Build)
	if err != nil {
		return err
	}
	var finished any
	if !r.FinishedAt.IsZero() {
		finished = micros(r.FinishedAt)
	}
	_, err = t.exec(updateBuild, string(r.State), finished, string(build), r.ID)
	return err
}

// FinishBuild implements [registry.Store].
func (s *Store) FinishBuild(ctx context.Context, revision string, outcome registry.Outcome, manifest *registry.Manifest) (finished registry.Revision, err error) {
	err = s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		r, err := revisionIn(t, revision)
		if err != nil {
			return err
		}
		if r.State != registry.Working {
			finished = r
			return nil
		}
		r.State, r.FinishedAt, r.Outcome, r.Manifest = registry.Failed, t.now.UTC(), outcome, manifest
		if manifest != nil {
			r.State, r.Step = registry.Succeeded, registry.Activating
		}
		finished = r
		if err := writeBuild(t, r); err != nil || manifest == nil {
			return err
		}
		v, err := versionIn(t, r.Version)
		if err != nil {
			return err
		}
		if v.Active != "" {
			active, err := revisionIn(t, v.Active)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if active.Number > r.Number {
				return nil
			}
		}
		_, err = t.exec(updateActive, r.ID, v.ID)
		return err
	})
	return finished, ofRegistry("end a build", err)
}

// Activate implements [registry.Store].
func (s *Store) Activate(ctx context.Context, revision string) (changed registry.Version, err error) {
	err = s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		r, err := revisionIn(t, revision)
		if err != nil {
			return err
		}
		if r.State != registry.Succeeded {
			return registry.ErrNotReady
		}
		if _, err := t.exec(updateActive, r.ID, r.Version); err != nil {
			return err
		}
		changed, err = versionIn(t, r.Version)
		return err
	})
	return changed, ofRegistry("activate a revision", err)
}

// Revision implements [registry.Store].
func (s *Store) Revision(ctx context.Context, id string) (registry.Revision, error) {
	var r revisionRow
	if err := s.readOne(ctx, selectRevision, []any{id}, r.into()...); err != nil {
		return registry.Revision{}, ofRegistry("read a revision", err)
	}
	return r.revision()
}

// Revisions implements [registry.Store].
func (s *Store) Revisions(ctx context.Context, version string, p registry.Page) ([]registry.Revision, error) {
	return s.listRevisions(ctx, selectRevisions, version, cmp.Or(p.Limit, defaultServices), p.Offset)
}

// Unfinished implements [registry.Store].
func (s *Store) Unfinished(ctx context.Context) ([]registry.Revision, error) {
	return s.listRevisions(ctx, selectUnfinished)
}

func (s *Store) listRevisions(ctx context.Context, query string, args ...any) ([]registry.Revision, error) {
	revisions := []registry.Revision{}
	err := s.read(ctx, query, args, func(row scanner) error {
		var r revisionRow
		if err := row.Scan(r.into()...); err != nil {
			return err
		}
		one, err := r.revision()
		revisions = append(revisions, one)
		return err
	})
	return revisions, ofRegistry("list revisions", err)
}

// AppendBuildLog implements [registry.Store].
func (s *Store) AppendBuildLog(ctx context.Context, revision string, lines []registry.LogLine) error {
	return ofRegistry("write the log of a build", s.writer.do(ctx, survivesCrash, func(t *tx) error {
		if _, err := revisionIn(t, revision); err != nil {
			return err
		}
		var last int64
		if err := t.row(selectLastBuildLine, []any{revision}, &last); err != nil {
			return err
		}
		for _, line := range lines {
			last++
			if _, err := t.exec(insertBuildLine, revision, last, line.Severity, micros(line.Time), line.Message); err != nil {
				return err
			}
		}
		return nil
	}))
}

// BuildLog implements [registry.Store].
func (s *Store) BuildLog(ctx context.Context, revision string, after int64, limit int) ([]registry.LogLine, error) {
	lines := []registry.LogLine{}
	err := s.read(ctx, selectBuildLog, []any{revision, after, limit}, func(row scanner) error {
		var line registry.LogLine
		var at int64
		err := row.Scan(&line.Sequence, &line.Severity, &at, &line.Message)
		line.Time = fromMicros(sql.NullInt64{Int64: at, Valid: true})
		lines = append(lines, line)
		return err
	})
	return lines, ofRegistry("read the log of a build", err)
}

// SourceInUse implements [registry.Store].
func (s *Store) SourceInUse(ctx context.Context, key string) (bool, error) {
	var n int
	err := s.readOne(ctx, selectSourceUse, []any{key}, &n)
	return n > 0, ofRegistry("look for an archive", err)
}
