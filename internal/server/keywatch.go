package server

import (
	"context"
	"strconv"
	"time"

	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const (
	// LookForKeys is how often a server reads its key file to find a new version of
	// the master key.
	LookForKeys = 2 * time.Second
	// askForKeys is how often it reads any other key source.
	askForKeys = 5 * time.Minute
)

// followKeys loads new versions of the master key until ctx ends; then the channel is
// closed. It wraps the secrets of waiting and running executions by the newest
// version. A failure leaves the keys unchanged.
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
			case ctx.Err() == nil && err.Error() != said: // log an error once, not every two seconds
				said = err.Error()
				s.log.Error("cannot look for a new master key; going on with the one at hand", "error", err)
			}
		}
	}()
	return ended
}

// takeKeysOver loads new versions once, and wraps the secrets by the newest one.
func (s *Server) takeKeysOver(ctx context.Context) error {
	added, err := s.keyring.Refresh(ctx)
	if err != nil {
		return err
	}
	// The keyring may have loaded a version before, to open a secret.
	newest := s.keyring.Version()
	if len(added) == 0 && newest == s.wrappedBy {
		return nil
	}
	if s.audit != nil {
		if err := s.signAudit(ctx, false); err != nil {
			return err
		}
	}
	changed, err := store.Rewrap(ctx, s.executions, s.keyring)
	if err != nil {
		return err
	}
	err = s.recordAction(ctx, "takeMasterKeyOver", map[string]string{"keyVersion": strconv.FormatUint(uint64(newest), 10), "rewrapped": strconv.Itoa(changed)})
	if err != nil {
		return err
	}
	s.wrappedBy = newest
	s.log.Info("took over a new master key", "version", newest, "wrapped again", changed)
	return nil
}
