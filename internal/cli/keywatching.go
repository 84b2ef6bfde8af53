package cli

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const (
	// lookForKeys is how often a file is looked at for a new version of the
	// master key, and askForKeys how often another source is asked.
	lookForKeys = 2 * time.Second
	askForKeys  = 5 * time.Minute
)

// followKeys takes new versions of the master key over until ctx ends; then
// the channel is closed. Secrets that wait or are in use are wrapped by the
// newest one. What cannot be taken over leaves the keys as they are.
func (s *serving) followKeys(ctx context.Context) <-chan struct{} {
	interval := askForKeys
	if _, ok := s.keySource.(vault.FileSource); ok {
		interval = lookForKeys
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		said := ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			err := s.takeKeysOver(ctx)
			switch {
			case err == nil:
				said = ""
			case ctx.Err() == nil && err.Error() != said: // once, not every two seconds
				said = err.Error()
				s.log.Error("cannot look for a new master key; going on with the one at hand", "error", err)
			}
		}
	}()
	return ended
}

// takeKeysOver does so once.
func (s *serving) takeKeysOver(ctx context.Context) error {
	added, err := s.keyring.Refresh(ctx)
	if err != nil {
		return err
	}
	// Also those that were found in between, to open something with.
	newest := s.keyring.Version()
	if len(added) == 0 && newest == s.wrappedBy {
		return nil
	}
	changed, err := store.Rewrap(ctx, s.executions, s.keyring)
	if err != nil {
		return err
	}
	s.wrappedBy = newest
	s.log.Info("took over a new master key", "version", newest, "wrapped again", changed)
	return nil
}
