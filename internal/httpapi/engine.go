package httpapi

import (
	"context"
	"io"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/platform"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Engine is what the API needs of [platform.Engine].
type Engine interface {
	Service(id string) (*platform.Service, bool)
	Submit(ctx context.Context, s platform.Submission) (store.Accepted, error)
	Get(ctx context.Context, serviceID string, id execution.ID) (execution.Execution, error)
	Wait(ctx context.Context, serviceID string, id execution.ID) (execution.Execution, error)
	List(ctx context.Context, q store.ListQuery) (store.Page, error)
	Cancel(ctx context.Context, serviceID string, id execution.ID) (execution.Execution, error)
	ReadLog(ctx context.Context, id execution.ID, after int64, limit int) ([]store.LogLine, error)
	Watch(id execution.ID) *store.Watch
	Result(ctx context.Context, id execution.ID) (platform.Result, error)
	OpenFile(ctx context.Context, id execution.ID, name string) (io.ReadSeekCloser, platform.ResultFile, error)
}
