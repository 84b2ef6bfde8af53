package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// The promises of package store: which operations survive a loss of power.
// Losing a claim would run a service twice, losing a cancellation would run it
// after all. A start may be lost where a new start of the machine is noticed.
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
			_, err := s.Accept(ctx, store.NewExecution{
				Execution: execution.Execution{ID: id, ServiceID: "s", Type: execution.Managed},
			})
			return err
		}},
		{"claim", true, func() error { _, err := s.Claim(ctx, claim); return err }},
		{"start", readBoot() == "", func() error { _, err := s.Start(ctx, id, "w"); return err }},
		{"heartbeat", false, func() error { _, err := s.Heartbeat(ctx, "w", time.Hour, id); return err }},
		{"log", false, func() error {
			_, err := s.AppendLog(ctx, id, execution.LogEntry{Severity: execution.Info})
			return err
		}},
		{"cancel", true, func() error { _, err := s.Cancel(ctx, id); return err }},
		{"reseal", true, func() error {
			_, err := s.Reseal(ctx, func(_ vault.Owner, sealed vault.Sealed) (vault.Sealed, bool, error) {
				return sealed, false, nil
			})
			return err
		}},
		{"finish", false, func() error {
			_, err := s.Finish(ctx, store.FinishParams{ID: id, Owner: "w", Status: execution.Cancelled})
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
			t.Fatalf("%s = %v, want nil", step.name, err)
		}
		if got := synchronousIsFull(ctx, t, s); got != step.want {
			t.Errorf("%s: survives a loss of power: %v, want %v", step.name, got, step.want)
		}
	}
}

func synchronousIsFull(ctx context.Context, t *testing.T, s *Store) bool {
	t.Helper()
	var setting int
	err := s.writer.submit(ctx, &op{outside: func() error {
		return s.writer.session.(*sqliteSession).conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&setting)
	}, done: make(chan struct{})})
	if err != nil {
		t.Fatal(err)
	}
	return setting == 2
}

// A claimed execution whose start may have been lost with the power does not
// run again.
func TestClaimsBeforeARestartOfTheMachineCountAsStarted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	if readBoot() == "" {
		t.Skip("this system does not tell when it was started: each start is written to the disk")
	}
	for _, test := range []struct {
		name        string
		boot        string
		interrupted bool
	}{
		{"the process ended", readBoot(), false},
		{"the machine ended", "another", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "store.db")
			s, err := Open(ctx, path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			claimed, waiting := execution.NewID(), execution.NewID()
			for _, id := range []execution.ID{claimed, waiting} {
				a := store.NewExecution{Execution: execution.Execution{ID: id, ServiceID: "s", Type: execution.Managed}}
				if id == claimed {
					a.Claim = &store.Lease{Owner: "dead", Lease: time.Nanosecond}
				}
				if _, err := s.Accept(ctx, a); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			reopened := reopenAt(t, path, test.boot)
			recovery, err := reopened.Recover(ctx, "heir")
			if err != nil {
				t.Fatal(err)
			}
			requeued, interrupted := []execution.ID{claimed}, []execution.ID(nil)
			if test.interrupted {
				requeued, interrupted = interrupted, requeued
			}
			if !slices.Equal(recovery.Requeued, requeued) || !slices.Equal(recovery.Interrupted, interrupted) {
				t.Errorf("Recover() = %+v, want requeued %v and interrupted %v", recovery, requeued, interrupted)
			}
			if e, err := reopened.Get(ctx, waiting); err != nil || e.Status != execution.Pending {
				t.Errorf("the unclaimed execution is %s (%v), want PENDING", e.Status, err)
			}
		})
	}
}

// reopenAt opens a database that was last open in this start of the machine, as
// if the machine had restarted since.
func reopenAt(t *testing.T, path, boot string) *Store {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), upsertBoot, boot)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
