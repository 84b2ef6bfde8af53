package engine

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/runner"
)

// startRun starts the process of the execution. While this program has no free
// file descriptors, the execution waits: the service has not failed. Only one
// execution retries at a time, as several would compete for the few descriptors
// that become free.
func (t *task) startRun(job runner.Job) (runner.Run, error) {
	revisionRunner, err := t.revision.acquire(t.ctx)
	if err != nil {
		return nil, err
	}
	t.acquired = true
	run, err := revisionRunner.Start(t.ctx, job)
	if !descriptors.Exhausted(err) {
		return run, err
	}
	t.engine.log.Warn("an execution waits: there are no file descriptors left", "execution", t.id)
	select {
	case t.engine.starved <- struct{}{}:
	case <-t.ctx.Done():
		return nil, context.Cause(t.ctx)
	}
	defer func() { <-t.engine.starved }()
	err = descriptors.Retry(t.ctx, func() error {
		run, err = revisionRunner.Start(t.ctx, job)
		return err
	})
	return run, err
}
