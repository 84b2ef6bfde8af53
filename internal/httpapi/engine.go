package httpapi

import (
	"context"
	"io"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Engine is what the API needs of [engine.Engine].
type Engine interface {
	Service(id string) (*engine.Service, bool)
	Submit(ctx context.Context, s engine.Submission) (store.Accepted, error)
	Get(ctx context.Context, serviceID string, id execution.ID) (execution.Execution, error)
	Wait(ctx context.Context, serviceID string, id execution.ID) (execution.Execution, error)
	List(ctx context.Context, q store.ListQuery) (store.Page, error)
	Cancel(ctx context.Context, serviceID string, id execution.ID) (execution.Execution, error)
	ReadLog(ctx context.Context, id execution.ID, after int64, limit int) ([]store.LogLine, error)
	Watch(id execution.ID) *store.Watch
	Result(ctx context.Context, id execution.ID) (engine.Result, error)
	OpenFile(ctx context.Context, id execution.ID, name string) (io.ReadSeekCloser, engine.ResultFile, error)
}
