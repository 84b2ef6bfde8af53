package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// growthVariable asks for the benchmarks on stores that take long to fill.
const growthVariable = "QHUBCTL_BENCH_GROWTH"

// BenchmarkGrowth measures a store for 16 callers in turns with an empty one:
// with 100,000 waiting executions, and with 1,000,000 ended ones. The turns make
// other work of the machine slow both; a ratio of 1 is a store that does not slow
// down.
func BenchmarkGrowth(b *testing.B) {
	if os.Getenv(growthVariable) == "" {
		b.Skipf("fills a store with a million executions; set %s=1", growthVariable)
	}
	for _, c := range []struct {
		name, status string
		n            int
		operations   []operation
	}{
		{"waiting=100000", "PENDING", 100_000, []operation{accepting, claiming, getting}},
		{"ended=1000000", "SUCCEEDED", 1_000_000, []operation{accepting, claiming, finishing, getting, listing}},
	} {
		b.Run(c.name, func(b *testing.B) {
			// A page is full in both.
			empty, full := filledStore(b, 1000, "SUCCEEDED"), filledStore(b, c.n, c.status)
			benchmarkGrowth(b, empty, full, c.operations)
		})
	}
}

// perRound is how many operations of a kind a round has, of the cheap ones.
const perRound = 320

// An operation is one kind of work of a store. Those of a round come one after
// the other, and leave a store with as many waiting executions as before.
type operation struct {
	name string
	n    int
	do   func(b *testing.B, s *filled) error
}

var (
	accepting = operation{"accept", perRound, func(b *testing.B, s *filled) error {
		e := execution.Execution{ID: execution.NewID(), ServiceID: "bench", Type: execution.Managed}
		_, err := s.Accept(b.Context(), store.NewExecution{Execution: e, Request: []byte(`{"data":1}`)})
		return err
	}}
	claiming = operation{"claim", perRound, func(b *testing.B, s *filled) error {
		claimed, err := s.Claim(b.Context(), store.ClaimRequest{
			Owner: "bench", Lease: time.Hour, Max: 1, Services: []store.ServiceLimit{{ServiceID: "bench"}},
		})
		if err != nil || len(claimed) != 1 {
			return fmt.Errorf("%d claimed: %w", len(claimed), err)
		}
		s.claimed <- claimed[0].Execution.ID
		return nil
	}}
	finishing = operation{"start-and-finish", perRound, func(b *testing.B, s *filled) error {
		id := <-s.claimed
		if _, err := s.Start(b.Context(), id, "bench"); err != nil {
			return err
		}
		_, err := s.Finish(b.Context(), store.FinishParams{ID: id, Owner: "bench", Status: execution.Succeeded})
		return err
	}}
	getting = operation{"get", 10 * perRound, func(b *testing.B, s *filled) error {
		_, err := s.Get(b.Context(), s.some[s.next.Add(1)%int64(len(s.some))])
		return err
	}}
	listing = operation{"list-1000", 16, func(b *testing.B, s *filled) error {
		page, err := s.List(b.Context(), store.ListQuery{ServiceID: "bench"})
		if err == nil && len(page.Executions) != 1000 {
			err = fmt.Errorf("a page has %d executions", len(page.Executions))
		}
		return err
	}}
)

func benchmarkGrowth(b *testing.B, empty, full *filled, operations []operation) {
	type times struct{ empty, full []time.Duration }
	took := make([]times, len(operations))
	round := func(s *filled, o operation) time.Duration {
		begun := time.Now()
		inParallel(16, o.n, func() {
			if err := o.do(b, s); err != nil {
				b.Error(err)
			}
		})
		return time.Since(begun)
	}
	for first := true; b.Loop(); first = !first {
		for i, o := range operations {
			// The first operation pays for the writes that the former one left.
			if first {
				took[i].empty = append(took[i].empty, round(empty, o))
			}
			took[i].full = append(took[i].full, round(full, o))
			if !first {
				took[i].empty = append(took[i].empty, round(empty, o))
			}
		}
		for _, s := range []*filled{empty, full} {
			for len(s.claimed) > 0 {
				<-s.claimed
			}
		}
	}
	for i, o := range operations {
		empty, full := medianSeconds(took[i].empty), medianSeconds(took[i].full)
		b.ReportMetric(float64(o.n)/empty, o.name+"/s-empty")
		b.ReportMetric(float64(o.n)/full, o.name+"/s-full")
		b.ReportMetric(empty/full, o.name+"-ratio")
	}
	b.ReportMetric(0, "ns/op")
}

func medianSeconds(times []time.Duration) float64 {
	slices.Sort(times)
	return times[len(times)/2].Seconds()
}

// filled is a store with executions in it.
type filled struct {
	*sqlite.Store
	some    []execution.ID // of those that were in it first, from all over
	next    atomic.Int64
	claimed chan execution.ID
}

// filledStore makes a store with n executions in a state, written directly into
// the database: accepting them would take minutes.
func filledStore(b *testing.B, n int, status string) *filled {
	b.Helper()
	path := filepath.Join(b.TempDir(), "store.db")
	s := &filled{claimed: make(chan execution.ID, perRound)}
	open := func() {
		var err error
		if s.Store, err = sqlite.Open(b.Context(), path, sqlite.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	open()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=synchronous(off)")
	if err != nil {
		b.Fatal(err)
	}
	for _, statement := range []string{
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
		 INSERT INTO executions (seq, id, service_id, service_revision, status, type, created_at, started_at, ended_at,
		                         tags, service_definition_id, application_id)
		 SELECT i, lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8'
		              || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))), 'bench', '1', $2, 'MANAGED', 1000000 * i,
		        CASE WHEN $2 <> 'PENDING' THEN 1000000 * i + 1 END, CASE WHEN $2 <> 'PENDING' THEN 1000000 * i + 2 END, '', '', ''
		 FROM n`,
		`INSERT INTO execution_requests (execution_seq, payload)
		 SELECT seq, CAST('{"data":1}' AS BLOB) FROM executions WHERE $1 > 0 AND $2 <> ''`,
	} {
		if _, err := db.ExecContext(b.Context(), statement, n, status); err != nil {
			b.Fatal(err)
		}
	}
	for seq := 1; seq <= n; seq += n / 1000 {
		var id execution.ID
		if err := db.QueryRowContext(b.Context(), `SELECT id FROM executions WHERE seq = $1`, seq).Scan(&id); err != nil {
			b.Fatal(err)
		}
		s.some = append(s.some, id)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	open()
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}
