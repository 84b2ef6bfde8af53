package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// ErrKeyExchanged says that a source has another key under a version that is
// known. Nothing of it is taken over.
var ErrKeyExchanged = errors.New("a version of the master key has become another key")

// askAgain is how soon a source that is no file is asked once more for a
// version that it did not have.
const askAgain = 10 * time.Second

// following is what a keyring knows of its source.
type following struct {
	mu        sync.Mutex // one look at a time
	source    KeySource
	file      os.FileInfo // as it was when it was read last
	refreshed time.Time
}

// Watch has the keyring take over versions that appear in source, where its
// keys are from: when [Keyring.Refresh] is called, and when something is to be
// opened that an unknown version sealed. So keys are rotated while servers
// run. It is called before the keyring is used by several goroutines.
func (k *Keyring) Watch(source KeySource) { k.follows = &following{source: source} }

// Refresh looks at the source and takes over versions that are new, which it
// returns. The newest seals from then on. Versions that have gone from the
// source stay until the process ends: what was sealed by them a moment ago can
// be opened.
func (k *Keyring) Refresh(ctx context.Context) (added []uint32, err error) {
	return k.refresh(ctx, 0)
}

// refresh leaves out a source that was asked no longer ago than the pause,
// unless it is a file, of which one can see that it is as it was.
func (k *Keyring) refresh(ctx context.Context, pause time.Duration) ([]uint32, error) {
	f := k.follows
	if f == nil {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var now os.FileInfo
	if file, ok := f.source.(FileSource); ok {
		var err error
		if now, err = os.Stat(string(file)); err != nil {
			return nil, fmt.Errorf("examine the master key file: %w", err)
		}
		if unchanged(f.file, now) {
			return nil, nil
		}
	} else if time.Since(f.refreshed) < pause {
		return nil, nil
	}
	f.refreshed = time.Now()
	read, err := f.source.Read(ctx)
	if err != nil {
		return nil, err
	}
	f.file = now // what was read is at least as new
	return k.merge(read)
}

func unchanged(before, now os.FileInfo) bool {
	return before != nil && os.SameFile(before, now) && before.ModTime().Equal(now.ModTime()) && before.Size() == now.Size()
}

// merge takes over the versions of other that are new. Other is not to be used
// any more.
func (k *Keyring) merge(other *Keyring) (added []uint32, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer other.Clear() // of what was not taken over
	for version, m := range other.keys {
		if known, ok := k.keys[version]; ok && known.id != m.id {
			return nil, fmt.Errorf("%w: version %d was %x and is %x; give a new key a new version", ErrKeyExchanged, version, known.id, m.id)
		}
	}
	for version, m := range other.keys {
		if _, ok := k.keys[version]; ok {
			continue
		}
		k.keys[version] = m
		k.current = max(k.current, version)
		delete(other.keys, version)
		added = append(added, version)
	}
	slices.Sort(added)
	return added, nil
}

// withRefresh calls open, and once more if it lacks a key that the source has by
// now.
func (k *Keyring) withRefresh(open func() error) error {
	err := open()
	if k.follows == nil || !errors.Is(err, ErrUnknownKey) {
		return err
	}
	added, refreshErr := k.refresh(context.Background(), askAgain)
	if refreshErr != nil {
		return fmt.Errorf("%w (looking for it: %w)", err, refreshErr)
	}
	if len(added) == 0 {
		return err
	}
	return open()
}
