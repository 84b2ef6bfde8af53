package devserver

import "context"

// reloadOnChange reloads the service after changes until ctx ends; then the channel is
// closed. If a reload fails, the previous revision stays active.
func (s *devServer) reloadOnChange(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	if s.options.NoReload {
		close(ended)
		return ended
	}
	changed, err := s.current.Workspace.Watch(ctx, s.current.Environment)
	if err != nil {
		s.reporter.Warn("changes of the service do not reload it: %v", err)
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

func (s *devServer) reload(ctx context.Context) {
	before := s.current
	if !before.Workspace.Changed(before.Environment, before.watched) {
		return
	}
	described, err := s.load(ctx)
	if err == nil {
		// The new zygote is ready before the new revision becomes active.
		err = s.register(ctx, described, func(prepare func()) { prepare() })
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.reporter.Error(err)
		s.reporter.Say("still serving the previous revision")
	default:
		s.reporter.Say("reloaded %s", s.current.Workspace.Name)
	}
}
