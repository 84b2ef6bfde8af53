package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

func TestRecent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newRecent(time.Second)
		known := func(id execution.ID) bool {
			found, ok := m.find(id)
			return ok && found.ID == id
		}
		ids := make([]execution.ID, maxRecent+1)
		for i := range ids {
			ids[i] = execution.NewID()
			m.add(execution.Execution{ID: ids[i]})
		}
		if known(ids[0]) || !known(ids[1]) || len(m.known) != maxRecent {
			t.Errorf("%d executions are remembered, want the last %d", len(m.known), maxRecent)
		}
		large := execution.NewID()
		m.add(execution.Execution{ID: large, Result: make([]byte, maxRecentResult+1)})
		if known(large) {
			t.Error("a large execution is remembered, want it left out")
		}
		if m.forget(ids[1]); known(ids[1]) {
			t.Error("a removed execution is remembered, want it forgotten")
		}
		if time.Sleep(2 * time.Second); known(ids[2]) {
			t.Error("an old entry is still used, want it expired")
		}
	})
}
