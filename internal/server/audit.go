package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
)

const (
	// anchorEvery is how often heads of the audit log go to the file of anchors, and
	// sayAnchors how often they go to the server's log.
	anchorEvery = 5 * time.Second
	sayAnchors  = time.Minute
	// dropEvery is how often audit entries are dropped because of their age, and
	// dropAtOnce how many of a tenant.
	dropEvery  = time.Hour
	dropAtOnce = 500
)

// auditLog is what a server does for the audit log of a platform.
type auditLog struct {
	anchors   *audit.Anchors
	operator  string // the tenant whose log has the actions of the server
	retention time.Duration
	said      map[string]int64 // the last number in the server's log, by tenant
}

// AuditOptions say how the audit log is kept.
type AuditOptions struct {
	// Retention is how long entries are kept. Zero: for good.
	Retention time.Duration
}

// OpenAudit signs the audit log and the sealed values from now on, and keeps anchors of the
// log in the data folder. It is for a server that is open, before anything changes them.
func (s *Server) OpenAudit(ctx context.Context, o AuditOptions) error {
	store := s.executions.Audit()
	anchors, err := audit.ReadAnchors(filepath.Join(s.dir, audit.AnchorsName))
	if err != nil {
		return err
	}
	heads, err := store.Heads(ctx)
	if err != nil {
		return err
	}
	s.audit = &auditLog{anchors: anchors, retention: o.Retention, said: map[string]int64{}}
	if err := s.signAudit(ctx, !anchors.Kept() && len(heads) == 0); err != nil {
		return err
	}
	for tenant, anchor := range anchors.All() {
		if err := audit.Holds(ctx, store, tenant, anchor); err != nil {
			s.log.Error("the audit log is not the one that this server has kept an anchor of", "tenant", tenant, "anchor", anchor.String(), "error", err)
		}
	}
	return anchors.Shorten(time.Now())
}

// RecordUnlock records that the server has opened the master key. From now on the actions
// of the server are in the log of a tenant. Program is the version of the program.
func (s *Server) RecordUnlock(ctx context.Context, tenant, program string) error {
	s.audit.operator = tenant
	versions := make([]string, 0, 1)
	for _, version := range s.keyring.Versions() {
		versions = append(versions, strconv.FormatUint(uint64(version), 10))
	}
	err := s.recordAction(ctx, "unlock", map[string]string{"keyVersions": strings.Join(versions, ","), "program": program})
	if err != nil {
		return err
	}
	return s.keepAnchors(ctx)
}

// signAudit has the store sign with the keys at hand.
func (s *Server) signAudit(ctx context.Context, first bool) error {
	return s.executions.SignAudit(ctx, audit.NewSigner(s.keyring), s.audit.anchors.All(), first)
}

// recordAction writes that the server has done something.
func (s *Server) recordAction(ctx context.Context, action string, details map[string]string) error {
	if s.audit == nil || s.audit.operator == "" {
		return nil
	}
	return s.executions.Audit().Append(ctx, audit.Entry{
		Tenant: s.audit.operator, Time: time.Now().UTC(), Actor: audit.Actor{Kind: "server"}, Action: action, Outcome: audit.Done, Details: details,
	})
}

// keepAnchors writes the heads that have changed to the file of anchors.
func (s *Server) keepAnchors(ctx context.Context) error {
	due, err := s.executions.Audit().Anchor(ctx)
	if err != nil || len(due) == 0 && s.audit.anchors.Kept() {
		return err
	}
	return s.audit.anchors.Add(time.Now(), due...)
}

// sayAnchors writes the anchors that are new to the server's log, which an operator may
// send elsewhere.
func (s *Server) sayAnchors() {
	for tenant, anchor := range s.audit.anchors.All() {
		if s.audit.said[tenant] != anchor.Number {
			s.audit.said[tenant] = anchor.Number
			s.log.Info("audit anchor", "tenant", tenant, "anchor", anchor.String())
		}
	}
}

// Anchored is the last anchor of a tenant that is outside the database.
func (s *Server) Anchored(tenant string) audit.Anchor { return s.audit.anchors.Last(tenant) }

// keepAudit keeps anchors, and drops old entries, until ctx ends; then the channel is
// closed.
func (s *Server) keepAudit(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	if s.audit == nil {
		close(ended)
		return ended
	}
	go func() {
		defer close(ended)
		anchor, say, drop := time.NewTicker(anchorEvery), time.NewTicker(sayAnchors), time.NewTicker(dropEvery)
		defer anchor.Stop()
		defer say.Stop()
		defer drop.Stop()
		s.auditLoop(ctx, anchor.C, say.C, drop.C)
	}()
	return ended
}

// auditLoop keeps anchors, writes them to the server's log, and drops old entries, each at
// its times.
func (s *Server) auditLoop(ctx context.Context, anchor, say, drop <-chan time.Time) {
	for {
		var err error
		select {
		case <-ctx.Done():
			if err := s.keepAnchors(context.WithoutCancel(ctx)); err != nil {
				s.log.Error("cannot keep an anchor of the audit log", "error", err)
			}
			s.sayAnchors()
			return
		case <-anchor:
			err = s.keepAnchors(ctx)
		case <-say:
			s.sayAnchors()
		case now := <-drop:
			err = s.dropAudit(ctx, now)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("cannot keep the audit log; it is tried again", "error", err)
		}
	}
}

// dropAudit drops the entries that are older than the retention. A log that was changed
// stays unchanged, and the others are shortened.
func (s *Server) dropAudit(ctx context.Context, now time.Time) error {
	if s.audit.retention <= 0 {
		return nil
	}
	store := s.executions.Audit()
	tenants, err := store.Tenants(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, tenant := range tenants {
		for n := dropAtOnce; n == dropAtOnce; {
			if n, err = store.Drop(ctx, tenant, now.Add(-s.audit.retention), dropAtOnce); err != nil {
				errs = append(errs, fmt.Errorf("account %s: %w", tenant, err))
				break
			}
		}
	}
	return errors.Join(errs...)
}
