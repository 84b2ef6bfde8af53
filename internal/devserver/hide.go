package devserver

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// secretFiles returns the files from which the server reads secrets, keys and tokens.
func (s *devServer) secretFiles(opened *service) []string {
	files := []string{opened.Workspace.EnvFile()}
	for _, name := range append([]string{s.options.Service.EnvFile}, s.options.SecretFiles...) {
		if file, err := filepath.Abs(name); err == nil && name != "" {
			files = append(files, file)
		}
	}
	return files
}

// hide hides the secret files and the data folder from executions. With a private root
// folder, executions see a snapshot of the workspace. Without one, they see the
// workspace except the files that are hidden now.
func (s *devServer) hide(ctx context.Context, opened *service, policy *sandbox.Policy) error {
	secrets := s.secretFiles(opened)
	policy.Hidden = append([]string{s.dir}, secrets...)
	if !s.server.Machine().HasOwnRoot() {
		policy.Hidden = append(policy.Hidden, opened.Workspace.HiddenPaths()...)
		policy.Readable = append(policy.Readable, opened.Workspace.LinkedSources(opened.Environment)...)
		return nil
	}
	var err error
	if s.revisions == nil {
		if s.revisions, err = workspace.OpenRevisions(ctx, s.dir); err != nil {
			return err
		}
		s.server.OnClose(s.revisions.Close)
	}
	needed := opened.Program.Files()
	if python, ok := opened.Program.(process.Python); ok {
		needed = append(needed, filepath.Dir(python.Launcher))
	}
	opened.snapshot, err = s.revisions.Take(opened.Workspace, workspace.SnapshotOptions{
		Needed: needed, Linked: opened.Workspace.LinkedSources(opened.Environment), Hidden: secrets, MountPoints: []string{s.dir},
	})
	if err != nil {
		return err
	}
	policy.Shown = []sandbox.Shown{{At: opened.Workspace.Dir, From: opened.snapshot.Dir, Drafts: s.server.Machine().HasDrafts()}}
	for _, path := range opened.snapshot.Live {
		policy.Shown = append(policy.Shown, sandbox.Shown{At: path, From: path})
	}
	for _, linked := range opened.snapshot.Linked {
		policy.Shown = append(policy.Shown, sandbox.Shown{At: linked.At, From: linked.From})
	}
	policy.Hidden = append(policy.Hidden, opened.snapshot.Hidden...)
	for _, pool := range opened.Workspace.LinkedPools() {
		if opened.showsPool(pool) {
			policy.ShowLive(pool)
			policy.Hidden = append(policy.Hidden, opened.snapshot.HiddenIn(pool)...)
		}
	}
	return nil
}

// showsPool reports whether executions can see a data pool. It adds a pool that was
// made after the snapshot.
func (s *service) showsPool(dir string) bool {
	if s.snapshot == nil {
		return true
	}
	if !sandbox.CanShow(dir) || s.snapshot.Hides(dir) {
		return false
	}
	_, err := s.snapshot.Show(dir)
	return err == nil
}

// close removes the snapshot. No execution of this revision may run any more.
func (s *service) close() error {
	if s.snapshot == nil {
		return nil
	}
	return s.snapshot.Remove()
}

// closing wraps a runner so that its Close, after the last execution, also closes the
// service.
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
