package access

// Forget empties the cache, as a change does.
func (s *Service) Forget() { s.changed() }
