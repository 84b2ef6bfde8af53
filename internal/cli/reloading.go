package cli

import "context"

// reloadOnChange takes changes of the service over until ctx ends; then the
// channel is closed. A change that cannot be taken over leaves what is.
func (s *serving) reloadOnChange(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	if s.options.noReload {
		close(ended)
		return ended
	}
	changed, err := s.current.workspace.Watch(ctx, s.current.env)
	if err != nil {
		s.streams.Warn("changes of the service are not noticed: %v", err)
		close(ended)
		return ended
	}
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				s.reload(ctx)
			}
		}
	}()
	return ended
}

func (s *serving) reload(ctx context.Context) {
	before := s.current
	if !before.workspace.Changed(before.env, before.watched) {
		return
	}
	described, err := s.load(ctx)
	if err == nil {
		// The new process is ready when it takes the old one's place.
		err = s.setService(ctx, described, func(prepare func()) { prepare() })
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.streams.Error(err)
		s.streams.Say("the service as it was before goes on")
	default:
		s.streams.Say("reloaded %s", s.current.workspace.Name)
	}
}
