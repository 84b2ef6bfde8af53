package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A list of what a caller has started is made of ranges of indexes, each sorted by time. A
// range has only what most of the conditions ask for, so the time that a list takes does
// not grow with the executions that it leaves out.
//
//   - by time: all that the tenant has started
//   - by kind: executions that have ended in one service, by one application, in one state;
//     and, by the indexes of the queue, executions that wait or run
//   - by tag
//
// Ids, and the execution that has started others, have separate indexes.

const (
	// maxKinds is how many kinds a list asks for. A tenant with more reads all executions.
	maxKinds = 2000
	// fewExecutions is how many a list may look at in a range to leave most of them out.
	fewExecutions = 10_000
	// sharpPrefix is how much of an id selects few executions: 32 bits of the time in
	// milliseconds, which pass in a minute.
	sharpPrefix = len("01900000-")
)

// orders are the columns by which lists are sorted.
var orders = map[store.Order]string{
	store.ByCreation: "created_at", store.ByStart: "started_at", store.ByEnd: "ended_at", store.ByStatus: "status", store.ByService: "service_id",
}

// conditions are the WHERE clause of a query, with the arguments. A clause has %d for the
// number of its argument.
type conditions struct {
	clauses []string
	args    []any
}

func (c conditions) and(clause string, args ...any) conditions {
	numbers := make([]any, len(args))
	for i := range args {
		numbers[i] = len(c.args) + i + 1
	}
	return conditions{append(slices.Clip(c.clauses), fmt.Sprintf(clause, numbers...)), append(slices.Clip(c.args), args...)}
}

// in has a column be one of some texts.
func (c conditions) in(column string, texts []string) conditions {
	list, _ := json.Marshal(texts) // texts have no error
	return c.and(column+" IN (SELECT value FROM json_each($%d))", string(list))
}

func (c conditions) String() string { return " WHERE " + strings.Join(c.clauses, " AND ") }

// between has a column of times be between those of a query.
func (c conditions) between(column string, q store.CallerQuery) conditions {
	before := int64(math.MaxInt64)
	if !q.CreatedBefore.IsZero() {
		before = stamp(q.CreatedBefore)
	}
	return c.and(column+" > $%d AND "+column+" < $%d", stamp(q.CreatedAfter), before)
}

// of are the conditions on the columns of an execution. An index of the tenant or of the
// service does not help with them, so that the one of the range is used.
func (c conditions) of(q store.CallerQuery) conditions {
	c = c.and("e.tenant_id || '' = $%d", q.Tenant)
	if q.Application != "*" {
		c = c.and("e.application_id = $%d", q.Application)
	}
	if q.Services != nil {
		c = c.in("e.service_id || ''", q.Services)
	}
	if q.Statuses != nil {
		c = c.in("e.status", q.Statuses)
	}
	return c
}

// rest are the conditions that no range is made of.
func (c conditions) rest(q store.CallerQuery) conditions {
	if q.Tags != nil {
		c = c.in("EXISTS (SELECT 1 FROM execution_tags AS t WHERE t.execution_seq = e.seq AND t.tag", q.Tags)
		c.clauses[len(c.clauses)-1] += ")"
	}
	if q.IDs != nil {
		list, _ := json.Marshal(patterns(q.IDs)) // texts have no error
		c = c.and(`0 < (SELECT count(*) FROM json_each($%d) AS p WHERE lower(e.id) LIKE p.value ESCAPE '\')`, string(list))
	}
	return c
}

// patterns are those of LIKE for ids with asterisks.
func patterns(ids []string) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`).Replace(strings.ToLower(id))
	}
	return all
}

// A span is a range of an index, with further conditions. Its executions are e.
type span struct {
	from         string
	created, seq string // the columns
	conditions
}

// executionsSpan is a range of an index of executions.
func executionsSpan(c conditions) span { return span{"executions AS e", "e.created_at", "e.seq", c} }

// ListOfCaller returns a part of what a caller has started, and how much there is.
func (s *Store) ListOfCaller(ctx context.Context, q store.CallerQuery) (list []execution.Execution, total int, err error) {
	if _, known := orders[q.Order]; q.Tenant == "" || q.Limit < 1 || q.Offset < 0 || !known {
		return nil, 0, fmt.Errorf("%w list: it needs a tenant, a limit and an order", store.ErrInvalid)
	}
	if q.Services != nil && len(q.Services) == 0 || q.Tags != nil && len(q.Tags) == 0 || q.IDs != nil && len(q.IDs) == 0 || q.Statuses != nil && len(q.Statuses) == 0 {
		return nil, 0, nil
	}
	spans, err := s.spans(ctx, q)
	if err == nil {
		list, err = s.listIn(ctx, q, spans)
	}
	limit := cmp.Or(q.CountTo, math.MaxInt32)
	if len(list) < q.Limit && (len(list) > 0 || q.Offset == 0) { // it is the last part
		total = min(q.Offset+len(list), limit)
	} else if err == nil {
		total, err = s.countIn(ctx, q, spans, limit)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("list executions: %w", err)
	}
	return list, total, nil
}

// spans are ranges that have all executions of a list.
func (s *Store) spans(ctx context.Context, q store.CallerQuery) ([]span, error) {
	narrow := conditions{}.of(q).rest(q).between("e.created_at", q)
	if q.Execution != "" {
		return []span{executionsSpan(narrow.and("e.parent_id = $%d AND e.parent_id <> ''", string(q.Execution)))}, nil
	}
	if sharp(q.IDs) && (q.Order == store.ByCreation || len(q.IDs) == 1) {
		var spans []span
		for _, id := range q.IDs {
			prefix, _, _ := strings.Cut(strings.ToLower(id), "*")
			spans = append(spans, executionsSpan(narrow.and("e.id >= $%d AND e.id < $%d", prefix, prefix+"~"))) // no id has ~, which is behind all that ids have
		}
		return spans, nil
	}
	all := []span{executionsSpan(conditions{}.and("e.tenant_id = $%d AND e.tenant_id <> ''", q.Tenant).between("e.created_at", q).of(q).rest(q))}
	if q.Order != store.ByCreation {
		return all, nil
	}
	byKind := q.Application != "*" || q.Services != nil || q.Statuses != nil
	if !byKind && q.Tags == nil {
		return all, nil
	}
	var kinds []span
	if byKind {
		var err error
		if kinds, err = s.kindSpans(ctx, q); err != nil {
			return nil, err
		}
	}
	if q.Tags != nil {
		few, err := s.areFew(ctx, kinds)
		if err != nil || !few {
			return tagSpans(q), err
		}
	}
	if kinds == nil {
		return all, nil
	}
	for i := range kinds {
		kinds[i].conditions = kinds[i].rest(q)
	}
	return kinds, nil
}

// areFew reports whether spans have few executions. None: they are too many to be made.
func (s *Store) areFew(ctx context.Context, spans []span) (bool, error) {
	n, err := s.count(ctx, spans, fewExecutions)
	return spans != nil && n < fewExecutions, err
}

// sharp reports whether ids select few executions.
func sharp(ids []string) bool {
	for _, id := range ids {
		if prefix, _, _ := strings.Cut(id, "*"); len(prefix) < sharpPrefix {
			return false
		}
	}
	return ids != nil
}

// tagSpans are the executions with each of the tags.
func tagSpans(q store.CallerQuery) (spans []span) {
	others := q
	others.Tags = nil
	for _, tag := range slices.Compact(slices.Sorted(slices.Values(q.Tags))) {
		c := conditions{}.and("t.tenant_id = $%d AND t.tenant_id <> ''", q.Tenant).and("t.tag = $%d", tag).between("t.created_at", q)
		spans = append(spans, span{
			"execution_tags AS t CROSS JOIN executions AS e", "t.created_at", "t.execution_seq",
			c.and("e.seq = t.execution_seq").of(others).rest(others),
		})
	}
	return spans
}

// count counts the executions of spans that have none in common, up to a number.
func (s *Store) count(ctx context.Context, spans []span, limit int) (n int, err error) {
	for _, sp := range spans {
		if n >= limit {
			break
		}
		here := 0
		c := sp.and("true LIMIT $%d", limit-n)
		if err := s.readOne(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+sp.from+c.String()+") AS counted", c.args, &here); err != nil {
			return 0, err
		}
		n += here
	}
	return n, nil
}

// countIn counts the executions of a list, up to a number.
func (s *Store) countIn(ctx context.Context, q store.CallerQuery, spans []span, limit int) (int, error) {
	if len(q.Tags) < 2 && len(q.IDs) < 2 {
		return s.count(ctx, spans, limit)
	}
	found, err := s.positions(ctx, q, spans, limit) // one may be in several spans
	return len(found), err
}

// A position is where an execution is in a list.
type position struct{ created, seq int64 }

// positions are the first executions of spans in the order of their creation, up to a number.
func (s *Store) positions(ctx context.Context, q store.CallerQuery, spans []span, limit int) (all []position, err error) {
	direction := " DESC"
	if q.Ascending {
		direction = ""
	}
	for _, sp := range spans {
		c := sp.and("true ORDER BY "+sp.created+direction+", "+sp.seq+direction+" LIMIT $%d", limit)
		err := s.read(ctx, "SELECT "+sp.created+", "+sp.seq+" FROM "+sp.from+c.String(), c.args, func(row scanner) error {
			var p position
			err := row.Scan(&p.created, &p.seq)
			all = append(all, p)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b position) int {
		if q.Ascending {
			a, b = b, a
		}
		return cmp.Or(cmp.Compare(b.created, a.created), cmp.Compare(b.seq, a.seq))
	})
	all = slices.Compact(all) // it was read in two spans, as it has ended in between
	return all[:min(len(all), limit)], nil
}

// listIn reads the executions of a list.
func (s *Store) listIn(ctx context.Context, q store.CallerQuery, spans []span) (list []execution.Execution, err error) {
	if len(spans) == 1 {
		return s.listOne(ctx, q, spans[0])
	}
	found, err := s.positions(ctx, q, spans, q.Offset+q.Limit)
	if err != nil {
		return nil, err
	}
	for _, p := range found[min(q.Offset, len(found)):] {
		one, err := s.listed(ctx, "SELECT "+listColumns+" FROM executions WHERE seq = $1", p.seq)
		if err != nil {
			return nil, err
		}
		list = append(list, one...)
	}
	return list, nil
}

// nulls has executions that have not started, or not ended, be the smallest in any database.
func nulls(q store.CallerQuery) string {
	switch {
	case q.Order != store.ByStart && q.Order != store.ByEnd:
		return ""
	case q.Ascending:
		return " NULLS FIRST"
	default:
		return " NULLS LAST"
	}
}

// listOne reads the executions of a list with one span.
func (s *Store) listOne(ctx context.Context, q store.CallerQuery, sp span) ([]execution.Execution, error) {
	direction := " DESC"
	if q.Ascending {
		direction = ""
	}
	order := sp.created + direction + ", " + sp.seq + direction
	if q.Order != store.ByCreation {
		order = "e." + orders[q.Order] + direction + nulls(q) + ", e.seq DESC"
	}
	columns := "e." + strings.ReplaceAll(strings.Join(strings.Fields(listColumns), " "), ", ", ", e.")
	c := sp.and("true ORDER BY "+order+" LIMIT $%d OFFSET $%d", q.Limit, q.Offset)
	return s.listed(ctx, "SELECT "+columns+" FROM "+sp.from+c.String(), c.args...)
}
