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

// ErrKeyExchanged says that a source has another key under a known version. The
// keyring takes nothing from that source then.
var ErrKeyExchanged = errors.New("a version of the master key has become another key")

// askAgain is the pause after which a source other than a file is read again for
// a version that it did not have.
const askAgain = 10 * time.Second

// following is what a keyring knows of its source.
type following struct {
	mu        sync.Mutex // one look at a time
	source    KeySource
	file      os.FileInfo // of the last read
	refreshed time.Time
}

// Watch makes the keyring take over versions that appear in source, the place
// its keys are from. It does so when [Keyring.Refresh] is called, and when Open
// meets a version that it does not know. So keys are rotated while servers run.
// Call it before several goroutines use the keyring.
func (k *Keyring) Watch(source KeySource) { k.follows = &following{source: source} }

// Refresh reads the source, takes over its new versions, and returns them. The
// newest seals from then on. Versions that have left the source stay until the
// process ends, because they may have sealed secrets a moment ago.
func (k *Keyring) Refresh(ctx context.Context) (added []uint32, err error) {
	return k.refresh(ctx, 0)
}

// refresh leaves out a source that was read within the pause. A file is left out
// only if it has not changed.
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
	f.file = now // the content is at least as new
	return k.merge(read)
}

func unchanged(before, now os.FileInfo) bool {
	return before != nil && os.SameFile(before, now) && before.ModTime().Equal(now.ModTime()) && before.Size() == now.Size()
}

// merge takes over the versions of other that are new. The caller must not use
// other afterwards.
func (k *Keyring) merge(other *Keyring) (added []uint32, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer other.Clear() // the versions that were not taken over
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

// withRefresh calls open, and calls it again if it lacks a key that the source
// has meanwhile.
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
