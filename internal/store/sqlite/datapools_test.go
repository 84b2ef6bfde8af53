package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/datapool/datapooltest"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

func TestDataPools(t *testing.T) {
	datapooltest.Run(t, func(t *testing.T) (datapool.Store, func(string) string) {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s.DataPools(), func(name string) string {
			user := access.Tenant{ID: uuid.NewString(), Kind: access.User, Name: name, DisplayName: name, CreatedAt: time.Now()}
			if err := s.Access().CreateUser(t.Context(), user); err != nil {
				t.Fatal(err)
			}
			return user.ID
		}
	})
}
