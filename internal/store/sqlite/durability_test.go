package sqlite

import (
	"context"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// The promises of package store: which operations survive a loss of power.
// Losing a claim or a start would run a service twice, losing a cancellation
// would run it after all.
func TestWhatSurvivesPowerLoss(t *testing.T) {
	t.Parallel()
	s := openInside(t)
	ctx := t.Context()
	id := execution.NewID()
	claim := store.ClaimRequest{Owner: "w", Lease: time.Hour, Max: 1, Services: []store.ServiceLimit{{ServiceID: "s"}}}
	for _, step := range []struct {
		name string
		want bool
		do   func() error
	}{
		{"accept", true, func() error {
			_, err := s.Accept(ctx, store.Acceptance{
				Execution: execution.Execution{ID: id, ServiceID: "s", Type: execution.Managed},
			})
			return err
		}},
		{"claim", true, func() error { _, err := s.Claim(ctx, claim); return err }},
		{"start", true, func() error { _, err := s.Start(ctx, id, "w"); return err }},
		{"heartbeat", false, func() error { _, err := s.Heartbeat(ctx, "w", time.Hour, id); return err }},
		{"log", false, func() error {
			_, err := s.AppendLog(ctx, id, execution.LogEntry{Severity: execution.Info})
			return err
		}},
		{"cancel", true, func() error { _, err := s.Cancel(ctx, id); return err }},
		{"reseal", true, func() error {
			_, err := s.Reseal(ctx, func(_ execution.ID, sealed vault.Sealed) (vault.Sealed, bool, error) {
				return sealed, false, nil
			})
			return err
		}},
		{"finish", false, func() error {
			_, err := s.Finish(ctx, store.Completion{ID: id, Owner: "w", Status: execution.Cancelled})
			return err
		}},
		{"recover", false, func() error { _, err := s.Recover(ctx, "w"); return err }},
		{"delete", false, func() error { _, err := s.Delete(ctx, id); return err }},
	} {
		// The opposite first, so that the operation has to change it.
		opposite := func(*tx) error { return nil }
		if err := s.writer.do(ctx, durability(!step.want), opposite); err != nil {
			t.Fatal(err)
		}
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := synchronousIsFull(ctx, t, s); got != step.want {
			t.Errorf("%s: survives a loss of power: %v, want %v", step.name, got, step.want)
		}
	}
}

func synchronousIsFull(ctx context.Context, t *testing.T, s *Store) bool {
	t.Helper()
	var setting int
	err := s.writer.submit(ctx, &job{outside: func() error {
		return s.writer.conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&setting)
	}, done: make(chan struct{})})
	if err != nil {
		t.Fatal(err)
	}
	return setting == 2
}
