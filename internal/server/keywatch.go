package server

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const (
	// LookForKeys is how often a server looks at a file for a new version of the
	// master key.
	LookForKeys = 2 * time.Second
	// askForKeys is how often it asks another source.
	askForKeys = 5 * time.Minute
)

// followKeys takes new versions of the master key over until ctx ends; then
// the channel is closed. Secrets that wait or are in use are wrapped by the
// newest one. A failure leaves the keys unchanged.
func (s *Server) followKeys(ctx context.Context) <-chan struct{} {
	interval := askForKeys
	if _, ok := s.keySource.(vault.FileSource); ok {
		interval = LookForKeys
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
func (s *Server) takeKeysOver(ctx context.Context) error {
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
