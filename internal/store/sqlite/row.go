package sqlite

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// executionRow holds the scanned columns of an execution.
type executionRow struct {
	e                  execution.Execution
	created            int64
	started, ended     sql.NullInt64
	tags               string
	problem, result    sql.NullString
	cancelledRequested int64
}

// listed are the targets of listColumns.
func (r *executionRow) listed() []any {
	e := &r.e
	return []any{
		&e.ID, &e.ServiceID, &e.ServiceRevision, &e.Status, &e.Type, &r.created, &r.started, &r.ended,
		&r.tags, &e.ServiceDefinitionID, &e.ApplicationID, &e.TenantID, &e.ParentID, &e.PersonID, &r.cancelledRequested,
	}
}

// all are the targets of allColumns.
func (r *executionRow) all() []any { return append(r.listed(), &r.problem, &r.result) }

func (r *executionRow) execution() (execution.Execution, error) {
	e := r.e
	e.CreatedAt = fromMicros(sql.NullInt64{Int64: r.created, Valid: true})
	e.StartedAt, e.EndedAt = fromMicros(r.started), fromMicros(r.ended)
	e.CancelRequested = r.cancelledRequested != 0
	if r.tags != "" {
		if err := json.Unmarshal([]byte(r.tags), &e.Tags); err != nil {
			return e, fmt.Errorf("read the tags of execution %s: %w", e.ID, err)
		}
	}
	if r.problem.Valid {
		e.Problem = &execution.Problem{}
		if err := json.Unmarshal([]byte(r.problem.String), e.Problem); err != nil {
			return e, fmt.Errorf("read the problem of execution %s: %w", e.ID, err)
		}
	}
	if r.result.Valid {
		e.Result = json.RawMessage(r.result.String)
	}
	return e, nil
}

func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

// encodeTags gives the column of tags; none is the empty text.
func encodeTags(tags []string) (string, error) {
	if len(tags) == 0 {
		return "", nil
	}
	text, err := json.Marshal(tags)
	return string(text), err
}

// encodeProblem gives the column of a problem.
func encodeProblem(p *execution.Problem) (sql.NullString, error) {
	if p == nil {
		return sql.NullString{}, nil
	}
	text, err := json.Marshal(p)
	if err != nil {
		return sql.NullString{}, fmt.Errorf("write the problem of an execution: %w", err)
	}
	return sql.NullString{String: string(text), Valid: true}, nil
}

// encodeResult returns the column of a result manifest; none is NULL.
func encodeResult(record []byte) sql.NullString {
	return sql.NullString{String: string(record), Valid: len(record) > 0}
}
