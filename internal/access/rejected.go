package access

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
)

// RejectedLogin is the action of an audit entry about wrong tokens and access keys.
const RejectedLogin = "rejectedLogin"

const (
	// maxRejectors is how many addresses have an entry of each minute. A further entry
	// counts the attempts of all others.
	maxRejectors = 10
	// allOthers is in place of an address in that entry.
	allOthers = "others"
)

// rejected counts wrong credentials by the network of the client. A flood of them makes
// few entries in the audit log.
type rejected struct {
	mu     sync.Mutex
	counts map[string]int
	since  time.Time
}

func (r *rejected) note(network string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts, r.since = map[string]int{}, now
	}
	if _, known := r.counts[network]; !known && len(r.counts) >= maxRejectors {
		network = allOthers
	}
	r.counts[network]++
}

// take returns the counts since the last call.
func (r *rejected) take() (counts map[string]int, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts, since, r.counts = r.counts, r.since, nil
	return counts, since
}

// recordRejected writes the rejected logins of the last minute into the log of the owner of
// the platform: a wrong credential belongs to no account.
func (s *Service) recordRejected(ctx context.Context) error {
	counts, since := s.rejected.take()
	if len(counts) == 0 || s.Audit == nil || s.Operator == "" {
		return nil
	}
	operator, err := s.Store.UserByName(ctx, s.Operator)
	if err != nil {
		return fmt.Errorf("record rejected logins: %w", err)
	}
	var errs []error
	for _, network := range slices.Sorted(maps.Keys(counts)) {
		errs = append(errs, s.Audit.Append(ctx, audit.Entry{
			Tenant: operator.ID, Time: s.Now().UTC(), Action: RejectedLogin, Outcome: audit.Denied, Actor: audit.Actor{Kind: "UNKNOWN"},
			Details: map[string]string{"address": network, "attempts": strconv.Itoa(counts[network]), "since": since.UTC().Format(time.RFC3339)},
		}))
	}
	return errors.Join(errs...)
}
