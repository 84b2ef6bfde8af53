package sqlite

import (
	"errors"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/audit/audittest"
)

func TestAudit(t *testing.T) {
	audittest.Run(t, func(t *testing.T) audit.Store { return openInside(t).Audit() })
}

// TestChangesWriteTheirEntry and a change that fails writes none, nor does a change happen
// whose entry cannot be written.
func TestChangesWriteTheirEntry(t *testing.T) {
	s := openInside(t)
	user := access.Tenant{ID: "u", Kind: access.User, Name: "ada", CreatedAt: time.Now()}
	record := audit.NewRecord(audit.Entry{Tenant: "t", Action: "create-user"})
	ctx := audit.With(t.Context(), record)
	if err := s.Access().CreateUser(ctx, user); err != nil {
		t.Fatal(err)
	}
	user.ID = "v"
	again := audit.With(t.Context(), audit.NewRecord(audit.Entry{Tenant: "t", Action: "create-user"}))
	if err := s.Access().CreateUser(again, user); !errors.Is(err, access.ErrExists) {
		t.Fatalf("CreateUser() with a name that is taken = %v, want %v", err, access.ErrExists)
	}
	user.Name = "grace"
	if err := s.Access().CreateUser(ctx, user); err != nil { // of the same request
		t.Fatal(err)
	}
	links, err := s.Audit().Links(t.Context(), "t", 0, 10)
	if err != nil || len(links) != 1 {
		t.Fatalf("Links() = %d, %v, want one entry of one request", len(links), err)
	}
	if err := s.writer.do(t.Context(), survivesPowerLoss, func(t *tx) error {
		_, err := t.exec("DROP TABLE audit")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	user.ID, user.Name = "w", "joan"
	if err := s.Access().CreateUser(audit.With(t.Context(), audit.NewRecord(audit.Entry{Tenant: "t"})), user); err == nil {
		t.Error("CreateUser() without an audit table = nil, want an error")
	}
	if _, err := s.Access().UserByName(t.Context(), "joan"); !errors.Is(err, access.ErrNotFound) {
		t.Errorf("UserByName() after a failed entry = %v, want %v", err, access.ErrNotFound)
	}
}
