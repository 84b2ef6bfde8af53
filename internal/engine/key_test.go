//go:build unix

package engine_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// What another server has sealed by a key that this one lacks fails, and says
// which key it is.
func TestMasterKeyIsMissing(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	elsewhere := filepath.Join(t.TempDir(), "master.key")
	if _, err := vault.OpenFile(elsewhere); err != nil {
		t.Fatal(err)
	}
	newer, err := vault.Rotate(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	for name, version := range map[string]uint32{"a newer version": 2, "another key of the same version": 1} {
		t.Run(name, func(t *testing.T) {
			ring := newer
			if version == 1 {
				if ring, err = vault.OpenFile(filepath.Join(t.TempDir(), "master.key")); err != nil {
					t.Fatal(err)
				}
			}
			id := execution.NewID()
			sealed, err := ring.Seal(vault.ExecutionOwner(string(id)), vault.Secrets{"api_token": plaintext.New([]byte(secretValue))})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.store.Accept(t.Context(), store.NewExecution{
				Execution: execution.Execution{ID: id, ServiceID: serviceID, ServiceRevision: "1", Type: execution.Managed},
				Request:   []byte(`{"inputs":{"action":"nothing"},"secrets":["api_token"]}`), Secrets: sealed,
			})
			if err != nil {
				t.Fatal(err)
			}
			e := s.wait(id)
			if e.Status != execution.Failed || e.Problem.Type != execution.TypeSecrets || !e.StartedAt.IsZero() ||
				!strings.Contains(e.Problem.Detail, ring.ID(version)) || !strings.Contains(e.Problem.Detail, "qhubctl keys") {
				t.Errorf("an execution with a missing key is %s: %v, want FAILED with %s and the key", e.Status, e.Problem, execution.TypeSecrets)
			}
		})
	}
}
