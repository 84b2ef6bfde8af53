package access

import "context"

// Forget empties the cache, as a change does.
func (s *Service) Forget() { s.changed() }

// RecordRejected does what the service does each minute about rejected logins.
func (s *Service) RecordRejected(ctx context.Context) error { return s.recordRejected(ctx) }
