package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/qhubctl/qhubctl/internal/peer"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/vault"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// secretFiles are the files that the server reads secrets, keys and tokens from.
func (s *serving) secretFiles(opened *service) []string {
	files := []string{opened.workspace.EnvFile()}
	given := []string{s.options.envFile}
	if name, ok := strings.CutPrefix(s.options.auth, "@"); ok {
		given = append(given, name)
	}
	if file, ok := s.options.masterKey.source.(vault.FileSource); ok {
		given = append(given, string(file))
	}
	for _, name := range given {
		if file, err := filepath.Abs(name); err == nil && name != "" {
			files = append(files, file)
		}
	}
	return files
}

// hide has executions see neither secret files nor the folder of serve. Where they
// have a private root folder they see a snapshot of the workspace, else the
// workspace without the files that are hidden in it now.
func (s *serving) hide(ctx context.Context, opened *service, policy *sandbox.Policy) error {
	secrets := s.secretFiles(opened)
	policy.Hidden = append([]string{s.dir}, secrets...)
	if !s.machine.HasOwnRoot() {
		policy.Hidden = append(policy.Hidden, opened.workspace.HiddenPaths()...)
		policy.Readable = append(policy.Readable, opened.workspace.LinkedSources(opened.env)...)
		return nil
	}
	var err error
	if s.revisions == nil {
		if s.revisions, err = workspace.OpenRevisions(ctx, s.dir); err != nil {
			return err
		}
		s.closers = append(s.closers, s.revisions.Close)
	}
	needed := opened.program.Files()
	if python, ok := opened.program.(process.Python); ok {
		needed = append(needed, filepath.Dir(python.Launcher))
	}
	opened.snapshot, err = s.revisions.Take(opened.workspace, workspace.SnapshotOptions{
		Needed: needed, Linked: opened.workspace.LinkedSources(opened.env), Hidden: secrets, MountPoints: []string{s.dir},
	})
	if err != nil {
		return err
	}
	policy.Shown = []sandbox.Shown{{At: opened.workspace.Dir, From: opened.snapshot.Dir, Drafts: s.machine.HasDrafts()}}
	for _, path := range opened.snapshot.Live {
		policy.Shown = append(policy.Shown, sandbox.Shown{At: path, From: path})
	}
	for _, linked := range opened.snapshot.Linked {
		policy.Shown = append(policy.Shown, sandbox.Shown{At: linked.At, From: linked.From})
	}
	policy.Hidden = append(policy.Hidden, opened.snapshot.Hidden...)
	for _, pool := range opened.workspace.LinkedPools() {
		if opened.showsPool(pool) {
			policy.ShowLive(pool)
		}
	}
	return nil
}

// showsPool makes sure that executions can see a data pool, which may have been
// made after the snapshot.
func (s *service) showsPool(dir string) bool {
	if s.snapshot == nil {
		return true
	}
	_, err := s.snapshot.Show(dir)
	return err == nil
}

// close removes the snapshot of a service that nothing runs of.
func (s *service) close() error {
	if s.snapshot == nil {
		return nil
	}
	return s.snapshot.Remove()
}

// closing is a runner that closes the service with it: after its last execution.
func (s *service) closing(r runner.Runner) runner.Runner {
	if s.snapshot == nil {
		return r
	}
	return &closingRunner{r, s}
}

type closingRunner struct {
	runner.Runner
	service *service
}

func (r *closingRunner) Close() error { return errors.Join(r.Runner.Close(), r.service.close()) }

// guard tells executions from other callers of the API, by their users. Where that
// cannot be done it recommends a token.
func (s *serving) guard() error {
	if s.machine.HasUsers() {
		guard, err := peer.NewGuard(s.machine.IsExecution)
		if err == nil {
			s.peers = guard
			s.closers = append(s.closers, func() error { guard.Close(); return nil })
			return nil
		}
		if s.options.requireSandbox {
			return fmt.Errorf("cannot tell executions from other callers: %w", err)
		}
		s.log.Debug("executions cannot be distinguished from other callers", "because", err)
	}
	if s.options.auth == "" && networks[s.options.network] == sandbox.NetworkFull {
		s.streams.Warn("executions can call this server as you can; give --auth, so that callers need a token")
	}
	return nil
}
