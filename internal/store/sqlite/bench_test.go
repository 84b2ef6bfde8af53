package sqlite_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// The benchmarks run on an empty store, on one with 100,000 executions that have ended,
// which must make no difference, and on an empty one in Postgres.
func onBoth(b *testing.B, run func(b *testing.B, s *sqlite.Store)) {
	for _, ended := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("ended=%d", ended), func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					b.Error(err)
				}
			}()
			fill(b, s, ended)
			run(b, s)
		})
	}
	b.Run("postgres", func(b *testing.B) {
		server := postgrestest.Start(b, "fsync=on", "shared_buffers=128MB")
		run(b, openPostgres(b, server.Schema(b), sqlite.PostgresOptions{}))
	})
}

// fill adds executions that have ended, as fast as groups allow.
func fill(b *testing.B, s store.Store, n int) {
	b.Helper()
	inParallel(64, n, func() {
		e := execution.Execution{ID: execution.NewID(), ServiceID: "bench", Type: execution.Managed}
		_, err := s.Accept(b.Context(), store.NewExecution{Execution: e, Request: []byte(`{"data":1}`)})
		if err == nil {
			_, err = s.Cancel(b.Context(), e.ID)
		}
		if err != nil {
			b.Error(err)
		}
	})
	if err := s.(*sqlite.Store).Scrub(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// inParallel calls f n times from so many goroutines.
func inParallel(callers, n int, f func()) {
	var left atomic.Int64
	left.Store(int64(n))
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				f()
			}
		})
	}
	group.Wait()
}

func sealedSecrets(b testing.TB) vault.Sealed {
	b.Helper()
	ring, err := vault.OpenFile(filepath.Join(b.TempDir(), "master.key"))
	if err != nil {
		b.Fatal(err)
	}
	sealed, err := ring.Seal(vault.ExecutionOwner("bench"), vault.Secrets{"api_token": plaintext.New(bytes.Repeat([]byte("x"), 40))})
	if err != nil {
		b.Fatal(err)
	}
	return sealed
}

func BenchmarkAccept(b *testing.B) {
	onBoth(b, func(b *testing.B, s *sqlite.Store) {
		request, sealed := bytes.Repeat([]byte("r"), 500), sealedSecrets(b)
		for _, callers := range []int{1, 16} {
			b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
				inParallel(callers, b.N, func() {
					_, err := s.Accept(b.Context(), store.NewExecution{
						Execution: execution.Execution{ID: execution.NewID(), ServiceID: "bench", Type: execution.Managed},
						Request:   request, Secrets: sealed, Queue: store.QueueLimit{PerService: 10_000_000, Total: 10_000_000},
					})
					if err != nil {
						b.Error(err)
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
			})
		}
	})
}

func BenchmarkClaim(b *testing.B) {
	onBoth(b, func(b *testing.B, s *sqlite.Store) {
		inParallel(64, b.N, func() {
			_, err := s.Accept(b.Context(), store.NewExecution{Execution: execution.Execution{
				ID: execution.NewID(), ServiceID: "bench", Type: execution.Managed,
			}})
			if err != nil {
				b.Error(err)
			}
		})
		b.ResetTimer()
		inParallel(16, b.N, func() {
			claimed, err := s.Claim(b.Context(), store.ClaimRequest{
				Owner: "bench", Lease: time.Hour, Max: 1, Services: []store.ServiceLimit{{ServiceID: "bench"}},
			})
			if err != nil || len(claimed) != 1 {
				b.Errorf("Claim() = %d executions, %v, want one", len(claimed), err)
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
}

// Ids of a platform, as long as real ones.
const (
	benchService     = "5b0c8f4e-6c0f-4f0e-9a52-5a2f6a3f1c11"
	benchTenant      = "0d0f3f53-1b9c-4f8a-8f0e-2f0c3f6b7a22"
	benchApplication = "c7a3a1c4-5a62-4c3b-8d0b-9b1d2e3f4a33"
)

// BenchmarkLife is a whole life: accept with a claim, start, finish, with secrets
// that are destroyed and scrubbed.
func BenchmarkLife(b *testing.B) {
	onBoth(b, func(b *testing.B, s *sqlite.Store) {
		sealed := sealedSecrets(b)
		b.ResetTimer()
		inParallel(16, b.N, func() {
			e := execution.Execution{
				ID: execution.NewID(), ServiceID: benchService, Type: execution.Managed, TenantID: benchTenant, ApplicationID: benchApplication,
			}
			_, err := s.Accept(b.Context(), store.NewExecution{
				Execution: e, Request: []byte(`{"data":1}`), Secrets: sealed,
				Claim: &store.Lease{Owner: "bench", Lease: time.Hour},
			})
			if err == nil {
				_, err = s.Start(b.Context(), e.ID, "bench")
			}
			if err == nil {
				_, err = s.Finish(b.Context(), store.FinishParams{ID: e.ID, Owner: "bench", Status: execution.Succeeded})
			}
			if err != nil {
				b.Error(err)
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
}

func BenchmarkGet(b *testing.B) {
	onBoth(b, func(b *testing.B, s *sqlite.Store) {
		id := execution.NewID()
		_, err := s.Accept(b.Context(), store.NewExecution{
			Execution: execution.Execution{ID: id, ServiceID: "bench", Type: execution.Managed},
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		inParallel(16, b.N, func() {
			if _, err := s.Get(b.Context(), id); err != nil {
				b.Error(err)
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
}

// A page has 1,000 executions in both cases.
func BenchmarkList(b *testing.B) {
	onBoth(b, func(b *testing.B, s *sqlite.Store) {
		fill(b, s, 1000)
		b.ResetTimer()
		for b.Loop() {
			page, err := s.List(b.Context(), store.ListQuery{ServiceID: "bench"})
			if err != nil || len(page.Executions) != 1000 {
				b.Fatalf("List() = %d executions, %v, want 1,000", len(page.Executions), err)
			}
		}
	})
}
