package hub

import (
	"context"
	"errors"
	"io/fs"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// poolsDir is the folder of data pools in the data folder.
const poolsDir = "datapools"

// mounter gives executions the data pools of the platform.
type mounter struct{ pools *datapool.Service }

var _ engine.PoolMounter = (*mounter)(nil)

// poolError has the engine show the caller why a pool cannot be used.
func poolError(err error) error {
	if refused, ok := errors.AsType[*datapool.RefusedError](err); ok {
		return &engine.PoolError{Reason: refused.Reason}
	}
	if conflict, ok := errors.AsType[*datapool.ConflictError](err); ok {
		return &engine.PoolError{Reason: conflict.Reason}
	}
	return err
}

// Admit implements [engine.PoolMounter].
func (m *mounter) Admit(ctx context.Context, reference signature.DataPoolReference) (string, error) {
	permission, err := m.pools.Admit(ctx, access.From(ctx), reference.ID, reference.Grant)
	return string(permission), poolError(err)
}

// Mount implements [engine.PoolMounter].
func (m *mounter) Mount(ctx context.Context, e execution.Execution, admitted map[string]engine.AdmittedPool) (engine.PoolMounts, error) {
	wants := map[string]datapool.Want{}
	for parameter, pool := range admitted {
		wants[parameter] = datapool.Want{Pool: pool.ID, Permission: datapool.Permission(pool.Permission)}
	}
	mounted, err := m.pools.Mount(ctx, e.ID.String(), wants)
	if err != nil {
		return nil, poolError(err)
	}
	return &mounts{mounted}, nil
}

// mounts are the data pools of one execution.
type mounts struct{ *datapool.Mounted }

// Pools implements [engine.PoolMounts].
func (m *mounts) Pools(ctx context.Context) map[string]runner.Pool {
	pools := map[string]runner.Pool{}
	for _, parameter := range m.Parameters() {
		pools[parameter] = runner.Pool{
			Place:    func(dir string) error { return m.Place(ctx, parameter, dir) },
			Writable: m.Writable(parameter), Size: m.Size(parameter),
		}
	}
	return pools
}

// Stage implements [engine.PoolMounts].
func (m *mounts) Stage(ctx context.Context, run runner.Run, masker *redact.Masker) (notices []string, err error) {
	for _, parameter := range m.Parameters() {
		if !m.Writable(parameter) {
			continue
		}
		said, err := m.stage(ctx, parameter, run, masker)
		notices = append(notices, said...)
		if err != nil {
			return notices, poolError(err)
		}
	}
	return notices, nil
}

// Changes implements [engine.PoolMounts].
func (m *mounts) Changes() any {
	if changes, some := m.Staged(); some {
		return changes
	}
	return nil
}

// Conflict implements [engine.PoolMounts].
func (m *mounts) Conflict(err error) *engine.PoolError {
	if conflict := m.Mounted.Conflict(err); conflict != nil {
		return &engine.PoolError{Reason: conflict.Reason}
	}
	return nil
}

// stage finds the changes of one data pool. A service that has removed the whole folder
// changes nothing.
func (m *mounts) stage(ctx context.Context, parameter string, run runner.Run, masker *redact.Masker) ([]string, error) {
	left, err := run.Pool(parameter)
	if errors.Is(err, fs.ErrNotExist) {
		return []string{"data pool " + parameter + ": nothing is written back, as its folder was removed"}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = left.Close() }()
	return m.Mounted.Stage(ctx, parameter, left, masker)
}
