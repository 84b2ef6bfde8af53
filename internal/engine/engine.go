package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/memory"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// ErrClosed is the error of requests to an engine that is closing.
var ErrClosed = store.ErrClosed

// Store is the part of a [store.Store] that an engine needs.
type Store interface {
	store.Queue
	store.Reader
	store.Logs
	store.Retention
}

// Config configures an engine. Store, Keyring and Dir are required. The zero
// values of all other fields suit production.
type Config struct {
	// Store keeps the executions. The caller closes it after the engine.
	Store Store
	// Keyring seals secrets.
	Keyring *vault.Keyring
	// Dir is the data folder. Several engines share it if they share the store.
	Dir string
	// Log gets messages for the operator. Nil: the engine logs nothing.
	Log *slog.Logger
	// Observer gets a call for each change of an execution. Nil: the engine
	// makes no calls.
	Observer Observer
	// Workers is how many executions this engine runs at once. Zero: eight for
	// each processor.
	Workers int
	// Queue bounds the waiting executions. Zero: 10,000 of each service and
	// 100,000 in all.
	Queue store.QueueLimit
	// Retention is how long an execution is kept after its end. Zero: forever.
	Retention time.Duration
	// Policy says which revision runs an execution that waited. Zero: the one
	// that accepted it.
	Policy Policy
	// Registry finds revisions that were activated before this engine started.
	// Nil: there are none.
	Registry Registry
	// Recoverer ends the runs that dead servers have left. Nil: nothing is left.
	Recoverer runner.Recoverer
	// RunnerIdle is how long the engine keeps a runner that has no executions.
	// Zero: fifteen minutes.
	RunnerIdle time.Duration
	// Lease is how soon another engine takes over when this one dies. Zero:
	// ten seconds.
	Lease time.Duration
	// Poll is how often the engine looks for executions that other processes
	// have accepted. Zero: two seconds.
	Poll time.Duration
}

// DefaultWorkers is how many executions an engine runs at once unless
// [Config].Workers says otherwise.
func DefaultWorkers() int { return 8 * runtime.NumCPU() }

func (c *Config) complete() error {
	if c.Store == nil || c.Keyring == nil || c.Dir == "" {
		return errors.New("an engine needs a store, a keyring and a data folder")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	c.Workers = cmp.Or(c.Workers, DefaultWorkers())
	if c.Queue == (store.QueueLimit{}) {
		c.Queue = store.QueueLimit{PerService: 10_000, Total: 100_000}
	}
	c.RunnerIdle = cmp.Or(c.RunnerIdle, 15*time.Minute)
	c.Lease = cmp.Or(c.Lease, 10*time.Second)
	c.Poll = cmp.Or(c.Poll, 2*time.Second)
	return nil
}

// An Engine runs executions. It is safe for concurrent use.
type Engine struct {
	config  Config
	store   Store
	log     *slog.Logger
	owner   string
	dataDir *dataDir

	// ctx is for writes that neither a caller nor a shutdown may interrupt. begin
	// ends when the engine must start no more work, beat when nothing runs any more.
	ctx, begin, beat  context.Context //nolint:containedctx // they are the engine's own, not a caller's
	endBegin, endBeat context.CancelFunc
	loops             sync.WaitGroup // the loops of the engine
	requests          sync.WaitGroup // calls of Submit
	running           sync.WaitGroup // executions that this engine has claimed

	// memory bounds the memory for large requests while the engine checks them or
	// hands them over.
	memory *memory.Budget
	slots  chan struct{} // a token for each execution that may be added
	// starved is held by the one execution that retries its start while the process
	// has no free descriptors.
	starved chan struct{}
	wake    chan struct{} // a token: there may be something to claim
	// maybePending says that an execution may wait that the engine could claim.
	maybePending atomic.Bool

	mu       sync.Mutex
	closing  bool
	services map[string]*revisions
	tasks    map[execution.ID]*task
	cancels  map[execution.ID]*cancelling
	// started signals that this engine has started an execution, or that an
	// execution ended without it.
	started store.Signals
	// queued holds executions that this engine has accepted and that, as far as it
	// knows, still wait. ended holds those whose end it has written.
	queued, ended *recent
}

// Open starts an engine. Before it returns, it recovers the executions that dead
// engines left. Recovery that fails is retried in the background.
func Open(ctx context.Context, config Config) (*Engine, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	owner := uuid.NewString()
	dataDir, err := openDataDir(ctx, config.Dir, owner)
	if err != nil {
		return nil, fmt.Errorf("cannot use the data folder: %w", err)
	}
	e := &Engine{
		config: config, store: config.Store, log: config.Log, owner: owner, dataDir: dataDir,
		ctx:     context.WithoutCancel(ctx),
		slots:   make(chan struct{}, config.Workers),
		starved: make(chan struct{}, 1), memory: memory.NewBudget(largeWork),
		wake:     make(chan struct{}, 1),
		services: map[string]*revisions{},
		tasks:    map[execution.ID]*task{},
		cancels:  map[execution.ID]*cancelling{},
		queued:   newRecent(config.Poll),
		ended:    newRecent(config.Poll),
	}
	e.begin, e.endBegin = context.WithCancel(e.ctx)
	e.beat, e.endBeat = context.WithCancel(e.ctx)
	for range config.Workers {
		e.slots <- struct{}{}
	}
	e.recover(ctx)
	for _, loop := range []func(){e.claimLoop, e.heartbeatLoop, e.recoverLoop, e.retentionLoop, e.unloadLoop} {
		e.loops.Go(loop)
	}
	return e, nil
}

// Close ends the engine. The engine accepts and starts nothing more, and Close
// waits for the running executions until ctx ends. It then stops those that
// still run: they get their grace time, and end FAILED as "interrupted". A second
// call, while the first waits, kills their processes at once. Waiting executions
// stay in the store for the next engine.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	again := e.closing
	e.closing = true
	e.mu.Unlock()
	e.endBegin()
	if again {
		for _, t := range e.allTasks() {
			t.kill()
		}
		e.loops.Wait()
		return nil
	}
	e.requests.Wait()
	ended := make(chan struct{})
	go func() {
		e.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		for _, t := range e.allTasks() {
			t.stop(forShutdown)
		}
		<-ended
	}
	e.endBeat()
	e.loops.Wait()
	return errors.Join(e.closeServices(), e.dataDir.close())
}

// Slots is how many executions this engine runs at once.
func (e *Engine) Slots() int { return e.config.Workers }

// Scratch is the parent of the folders of executions.
func (e *Engine) Scratch() string { return e.dataDir.scratchDir() }

// allTasks are the executions that this engine has claimed.
func (e *Engine) allTasks() []*task {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Values(e.tasks))
}

func (e *Engine) task(id execution.ID) *task {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tasks[id]
}
