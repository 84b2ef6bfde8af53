package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/audit/audittest"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/datapool/datapooltest"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/registry/registrytest"
	"github.com/qhubctl/qhubctl/internal/secretstore/secretstoretest"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/storetest"
)

// TestRepeatedGroups: an operation whose transaction is repeated has the results of the
// last run alone.
func TestRepeatedGroups(t *testing.T) {
	t.Parallel()
	repeating := func(t *testing.T, now func() time.Time) *sqlite.Store {
		s := open(t, filepath.Join(t.TempDir(), "store.db"), sqlite.Options{Now: now})
		if err := s.RepeatGroups(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	runSuites(t, repeating)
}

// runSuites runs the suites of all stores. Open makes one with a clock; nil is that of the
// machine.
func runSuites(t *testing.T, open func(t *testing.T, now func() time.Time) *sqlite.Store) {
	t.Helper()
	fresh := func(t *testing.T) *sqlite.Store { return open(t, nil) }
	t.Run("Store", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store { return open(t, now) })
	})
	t.Run("Registry", func(t *testing.T) {
		registrytest.Run(t, func(t *testing.T) registry.Store { return fresh(t) })
	})
	t.Run("Audit", func(t *testing.T) {
		audittest.Run(t, func(t *testing.T) audit.Store { return fresh(t).Audit() })
	})
	t.Run("DataPools", func(t *testing.T) {
		datapooltest.Run(t, func(t *testing.T) (datapool.Store, func(string) string) {
			s := fresh(t)
			return s.DataPools(), func(name string) string { return makeUser(t, s, name) }
		})
	})
	t.Run("Secrets", func(t *testing.T) {
		secretstoretest.Run(t, func(t *testing.T) *secretstoretest.World { return secretWorld(t, fresh(t)) })
	})
}
