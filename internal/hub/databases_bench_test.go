package hub_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// BenchmarkDatabases runs the same executions on a platform with its state in SQLite and on
// one with it in Postgres, in turns. It reports the median from POST to the final state with
// one caller, the executions in a second with 16 callers, and what Postgres makes of both.
func BenchmarkDatabases(b *testing.B) {
	database := postgrestest.Start(b, "fsync=on", "shared_buffers=128MB", "max_wal_size=1GB")
	url := filepath.Join(b.TempDir(), "database")
	folder, err := testenv.Build(b.TempDir())
	if err == nil {
		err = os.WriteFile(url, []byte(database.Schema(b)+"\n"), 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
	content := archiveOf(b, map[string][]byte{"src/__init__.py": nil, "src/program.py": []byte("def run(name: str = 'x') -> dict:\n    return {'hello': name}\n")})
	measured := func(options ...string) *measuredPlatform {
		options = append(options, "--concurrency", "8")
		p, _ := startProcess(b, filepath.Join(folder, "qhubctl"), filepath.Join(b.TempDir(), "data"), options...)
		m := &measuredPlatform{platform: p, endpoint: p.url + p.deploy("greeter", "1.0.0", content, "SUCCESS").path()}
		m.many(16, 64) // the first ones prepare
		m.took = nil
		return m
	}
	file, there := measured(), measured("--database", "@"+url)
	both := []*measuredPlatform{file, there}
	for b.Loop() {
		for _, m := range both {
			m.many(1, 20)
		}
		for _, m := range both {
			begun := time.Now()
			m.many(16, 160)
			m.spent += time.Since(begun)
			m.ended += 160
		}
		slices.Reverse(both)
	}
	b.ReportMetric(milliseconds(file.median()), "sqlite-p50-ms")
	b.ReportMetric(milliseconds(there.median()), "postgres-p50-ms")
	b.ReportMetric(milliseconds(there.median()-file.median()), "more-ms")
	b.ReportMetric(file.rate(), "sqlite/s")
	b.ReportMetric(there.rate(), "postgres/s")
	b.ReportMetric(there.rate()/file.rate(), "ratio")
}

type measuredPlatform struct {
	*platform
	endpoint string

	mu    sync.Mutex
	took  []time.Duration // of executions of a single caller
	spent time.Duration
	ended int
}

// many runs n executions from callers.
func (m *measuredPlatform) many(callers, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				begun := time.Now()
				if text, ok := runOnce(context.Background(), m.platform, m.endpoint); !ok {
					m.Errorf("an execution has ended: %s", text)
				}
				if callers == 1 {
					m.mu.Lock()
					m.took = append(m.took, time.Since(begun))
					m.mu.Unlock()
				}
			}
		})
	}
	group.Wait()
}

func (m *measuredPlatform) median() time.Duration {
	slices.Sort(m.took)
	return m.took[len(m.took)/2]
}

func (m *measuredPlatform) rate() float64 { return float64(m.ended) / m.spent.Seconds() }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
