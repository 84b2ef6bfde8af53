package httpapi

import (
	"context"
	"io"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Service is the part of an [engine.Service] that the API needs.
type Service interface {
	Current() (*engine.Revision, bool)
	Submit(ctx context.Context, s engine.Submission) (store.Accepted, error)
	Get(ctx context.Context, id execution.ID) (execution.Execution, error)
	Wait(ctx context.Context, id execution.ID) (execution.Execution, error)
	List(ctx context.Context, q store.ListQuery) (store.Page, error)
	Cancel(ctx context.Context, id execution.ID) (execution.Execution, error)
	ReadLog(ctx context.Context, id execution.ID, after int64, limit int) ([]store.LogLine, error)
	Watch(ctx context.Context, id execution.ID) (*store.Watch, error)
	Result(ctx context.Context, id execution.ID) (engine.Result, error)
	OpenFile(ctx context.Context, id execution.ID, name string) (io.ReadSeekCloser, engine.ResultFile, error)
}
