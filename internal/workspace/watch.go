package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is the quiet time after which a change counts: an editor writes a file
// in several steps.
const settle = 150 * time.Millisecond

// maxWatched bounds the watched folders, since the system limits them.
const maxWatched = 2000

// Watch reports when sources of the service in this environment may have
// changed, until ctx ends. Several changes at once are reported once. Data, logs,
// and the caches of tools do not count.
func (w *Workspace) Watch(ctx context.Context, env *Environment) (<-chan struct{}, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", w.Dir, err)
	}
	settings, err := w.watchAll(watcher, env)
	if err != nil {
		_ = watcher.Close()
		return nil, fmt.Errorf("cannot watch %s: %w", w.Dir, err)
	}
	changed := make(chan struct{}, 1)
	go w.watch(ctx, watcher, settings, changed)
	return changed, nil
}

func (w *Workspace) watch(ctx context.Context, watcher *fsnotify.Watcher, settings []string, changed chan<- struct{}) {
	defer func() { _ = watcher.Close() }()
	quiet := time.NewTimer(0)
	<-quiet.C
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-watcher.Events:
			if !ok {
				return
			}
			if event.Op == fsnotify.Chmod || !w.counts(event.Name, settings) {
				continue
			}
			if event.Has(fsnotify.Create) && w.Language != Prebuilt {
				_ = w.watchBelow(watcher, event.Name) // a folder that cannot be watched is left out
			}
			quiet.Reset(settle)
		case _, ok := <-watcher.Errors:
			if !ok {
				return
			}
			quiet.Reset(settle) // the system has dropped events: check
		case <-quiet.C:
			select {
			case changed <- struct{}{}:
			default: // a report is pending already
			}
		}
	}
}

// watchAll watches all folders that hold sources of the service. Of a built
// program it watches only the program's folder: the user's current one may be
// a folder without end.
func (w *Workspace) watchAll(watcher *fsnotify.Watcher, env *Environment) (settings []string, err error) {
	if w.Language == Prebuilt {
		return nil, errors.Join(watcher.Add(w.Dir), watcher.Add(filepath.Dir(w.binary)))
	}
	if w.Language == Python {
		settings = w.settingFiles()
		for _, path := range settings {
			_ = watcher.Add(filepath.Dir(path)) // a missing one has no changes
		}
		for _, path := range w.LinkedSources(env) {
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				path = filepath.Dir(path)
			}
			_ = w.watchBelow(watcher, path) // a folder that cannot be watched is left out
		}
	}
	if w.Language == Go {
		for _, dir := range w.sourceDirs() {
			_ = watcher.Add(dir) // the next build notices a missing one
		}
	}
	return settings, w.watchBelow(watcher, w.Dir)
}

// counts reports whether a change of a path may change the service.
func (w *Workspace) counts(path string, settings []string) bool {
	if w.Language == Prebuilt {
		return path == w.binary || path == w.EnvFile()
	}
	name := filepath.Base(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return !w.skipped(path, name)
	}
	if w.Language == Python && filepath.Ext(name) != ".py" {
		return slices.Contains(settings, path) || w.watches(path)
	}
	return !strings.HasPrefix(name, ".") || path == w.EnvFile() || slices.Contains(w.Settings, path)
}

// watchBelow watches a folder and those in it. A file is watched with its
// folder.
func (w *Workspace) watchBelow(watcher *fsnotify.Watcher, dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return err
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil //nolint:nilerr // it vanished, or may not be read
		}
		if path != w.Dir && w.skipped(path, entry.Name()) {
			return fs.SkipDir
		}
		if len(watcher.WatchList()) >= maxWatched {
			return fs.SkipAll
		}
		return watcher.Add(path)
	})
}

// ServeDir is the folder that `qhubctl serve` keeps its executions in.
func (w *Workspace) ServeDir() (string, error) {
	dir, err := w.state("serve")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", &Error{Message: "cannot keep anything in " + dir, Err: err}
	}
	return dir, nil
}

// Served returns that folder if it exists. It creates nothing.
func (w *Workspace) Served() (dir string, ok bool) {
	dir = w.path(stateDir, "serve")
	info, err := os.Stat(dir)
	return dir, err == nil && info.IsDir()
}
