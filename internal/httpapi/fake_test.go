package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

const serviceID = "0b9d7a1e-6c2b-4f55-9f0e-2f6f7a9b1c11"

const described = `{"schemaVersion":1,"sdk":{"language":"python","name":"qhub-commons","version":"1"},
	"entrypoint":"src.program:run","parameters":[
	{"name":"n","kind":"input","check":"schema","required":true,"schema":{"type":"integer"}},
	{"name":"note","kind":"input","check":"schema","required":false,"schema":{"type":"string"}},
	{"name":"api_token","kind":"secret","required":true,"env":"SECRET_API_TOKEN"}]}`

// fakeService keeps executions in memory and runs nothing: tests say what
// becomes of them.
type fakeService struct {
	revision  *engine.Revision
	validator *signature.Validator
	signals   store.Signals

	mu         sync.Mutex
	executions []execution.Execution
	bodies     [][]byte // as they came, shared with the caller
	copies     []string // what they said
	keys       map[string]execution.ID
	logs       map[execution.ID][]store.LogLine
	results    map[execution.ID]engine.Result
	files      map[string][]byte // by id/name
	// err is what every call fails with.
	err error
	// panics is what Get panics with.
	panics any
}

func newFake(t testing.TB) *fakeService {
	t.Helper()
	return newFakeOf(t, described)
}

func newFakeOf(t testing.TB, description string) *fakeService {
	t.Helper()
	s, err := signature.Parse([]byte(description))
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return &fakeService{
		revision:  &engine.Revision{Name: "adder", Version: "1.2", Signature: s},
		validator: v, keys: map[string]execution.ID{},
		logs: map[execution.ID][]store.LogLine{}, results: map[execution.ID]engine.Result{}, files: map[string][]byte{},
	}
}

func (f *fakeService) Current() (*engine.Revision, bool) { return f.revision, true }

func (f *fakeService) Submit(_ context.Context, s engine.Submission) (store.Accepted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return store.Accepted{}, f.err
	}
	f.bodies = append(f.bodies, s.Body)
	f.copies = append(f.copies, string(s.Body))
	request, err := f.validator.Request(s.Body)
	if err != nil {
		return store.Accepted{}, err
	}
	defer request.Clear()
	if id, ok := f.keys[s.IdempotencyKey]; ok {
		return store.Accepted{Execution: *f.find(id), Replayed: true}, nil
	}
	e := f.add(execution.Pending, request.Tags...)
	if s.IdempotencyKey != "" {
		f.keys[s.IdempotencyKey] = e.ID
	}
	return store.Accepted{Execution: e}, nil
}

func (f *fakeService) add(status execution.Status, tags ...string) execution.Execution {
	e := execution.Execution{
		ID: execution.NewID(), ServiceID: serviceID, Status: status, Type: execution.Managed,
		CreatedAt: time.Date(2026, 1, 31, 22, 38, 8, 0, time.UTC), Tags: tags,
	}
	f.executions = append(f.executions, e)
	return e
}

func (f *fakeService) find(id execution.ID) *execution.Execution {
	for i := range f.executions {
		if f.executions[i].ID == id {
			return &f.executions[i]
		}
	}
	return nil
}

// with changes the engine as a test wants it.
func (f *fakeService) with(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// set changes the state of an execution.
func (f *fakeService) set(id execution.ID, status execution.Status) {
	f.with(func() { f.find(id).Status = status })
	f.signals.ExecutionChanged(id)
}

func (f *fakeService) write(id execution.ID, messages ...string) {
	f.with(func() {
		for _, m := range messages {
			f.logs[id] = append(f.logs[id], store.LogLine{
				Sequence: int64(len(f.logs[id]) + 1),
				Entry:    execution.LogEntry{Message: m, Severity: execution.Info, Timestamp: time.Date(2026, 1, 31, 22, 38, 9, 0, time.UTC)},
			})
		}
	})
	f.signals.ExecutionChanged(id)
}

func (f *fakeService) Get(_ context.Context, id execution.ID) (execution.Execution, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.panics != nil {
		panic(f.panics)
	}
	if f.err != nil {
		return execution.Execution{}, f.err
	}
	e := f.find(id)
	if e == nil {
		return execution.Execution{}, store.ErrNotFound
	}
	return *e, nil
}

func (f *fakeService) Wait(ctx context.Context, id execution.ID) (execution.Execution, error) {
	watch := f.signals.WatchExecution(id)
	defer watch.Stop()
	for {
		e, err := f.Get(ctx, id)
		if err != nil || e.Status.Final() {
			return e, err
		}
		select {
		case <-watch.C:
		case <-ctx.Done():
			return e, nil
		}
	}
}

// List pages by index.
func (f *fakeService) List(_ context.Context, q store.ListQuery) (store.Page, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return store.Page{}, f.err
	}
	var all []execution.Execution
	for _, e := range slices.Backward(f.executions) {
		if q.Tag == "" || slices.Contains(e.Tags, q.Tag) {
			all = append(all, e)
		}
	}
	from, _ := strconv.Atoi(string(q.After))
	limit := q.Limit
	if limit == 0 {
		limit = store.DefaultPage
	}
	page := store.Page{Executions: all[min(from, len(all)):min(from+limit, len(all))]}
	if from+limit < len(all) {
		page.Next = store.Cursor(strconv.Itoa(from + limit))
	}
	return page, nil
}

func (f *fakeService) Cancel(ctx context.Context, id execution.ID) (execution.Execution, error) {
	e, err := f.Get(ctx, id)
	if err == nil && !e.Status.Final() {
		f.set(id, execution.Cancelled)
	}
	return e, err
}

func (f *fakeService) ReadLog(_ context.Context, id execution.ID, after int64, limit int) ([]store.LogLine, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	lines := f.logs[id]
	lines = lines[min(int(after), len(lines)):]
	return slices.Clone(lines[:min(limit, len(lines))]), nil
}

func (f *fakeService) Watch(_ context.Context, id execution.ID) (*store.Watch, error) {
	return f.signals.WatchExecution(id), nil
}

func (f *fakeService) Result(_ context.Context, id execution.ID) (engine.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.results[id], f.err
}

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

func (f *fakeService) OpenFile(_ context.Context, id execution.ID, name string) (io.ReadSeekCloser, engine.ResultFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.files[id.String()+"/"+name]
	if !ok {
		return nil, engine.ResultFile{}, store.ErrNotFound
	}
	return content{bytes.NewReader(b)}, engine.ResultFile{Name: name, Size: int64(len(b))}, nil
}

// finished adds an execution that has ended with a result and files.
func (f *fakeService) finished(status execution.Status, value string, files map[string]string) execution.Execution {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.add(status)
	result := engine.Result{}
	if value != "" {
		result.Value = json.RawMessage(value)
	}
	if _, large := files[largeFile]; large { // then it is the value
		result.Value, result.Large = nil, largeFile
	}
	for name, text := range files {
		result.Files = append(result.Files, engine.ResultFile{Name: name, Size: int64(len(text))})
		f.files[e.ID.String()+"/"+name] = []byte(text)
	}
	f.results[e.ID] = result
	return e
}
