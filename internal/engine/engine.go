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

// ErrClosed is the error of requests to an engine that ends.
var ErrClosed = store.ErrClosed

// Store is what an engine needs of a [store.Store].
type Store interface {
	store.Queue
	store.Reader
	store.Logs
	store.Retention
}

// Config says what an engine works with. Store, Keyring and Dir are needed;
// the zero value of all else is for production.
type Config struct {
	// Store keeps the executions. The caller closes it after the engine.
	Store Store
	// Keyring seals secrets.
	Keyring *vault.Keyring
	// Dir is the data folder. Several engines share it if they share the store.
	Dir string
	// Log is for the operator. Nil: nobody reads it.
	Log *slog.Logger
	// Observer is told what becomes of executions. Nil: nobody is.
	Observer Observer
	// Workers is how many executions this engine runs at once. Zero: eight for
	// each processor.
	Workers int
	// Queue bounds the executions that wait. Zero: 10,000 of each service and
	// 100,000 of all.
	Queue store.QueueLimit
	// Retention is how long an execution is kept after its end. Zero: for ever.
	Retention time.Duration
	// Policy says which revision runs an execution that waited. Zero: the one
	// that accepted it.
	Policy Policy
	// Registry finds revisions that were activated before this engine began.
	// Nil: there are none.
	Registry Registry
	// Recoverer ends what dead servers have left of their executions. Nil: nothing
	// is left.
	Recoverer runner.Recoverer
	// RunnerIdle is how long a runner that was loaded is kept without executions.
	// Zero: fifteen minutes.
	RunnerIdle time.Duration
	// Lease is how soon another engine takes over when this one dies. Zero:
	// ten seconds.
	Lease time.Duration
	// Poll is how often the engine looks for what other processes have
	// accepted. Zero: two seconds.
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

	// ctx is that of writes which have to happen whatever a caller or a
	// shutdown wants; begin ends when nothing is to be begun any more, beat
	// when nothing runs any more.
	ctx, begin, beat  context.Context //nolint:containedctx // they are the engine's own, not a caller's
	endBegin, endBeat context.CancelFunc
	loops             sync.WaitGroup // the loops of the engine
	requests          sync.WaitGroup // calls of Submit
	running           sync.WaitGroup // executions that this engine has claimed

	// memory is for large requests, while they are checked or handed over.
	memory *memory.Budget
	slots  chan struct{} // a token for each execution that may be added
	// starved is held by the one execution that tries to start again while there
	// are no descriptors.
	starved chan struct{}
	wake    chan struct{} // a token: there may be something to claim
	// maybePending says that something may wait which could be claimed.
	maybePending atomic.Bool

	mu       sync.Mutex
	closing  bool
	services map[string]*revisions
	tasks    map[execution.ID]*task
	cancels  map[execution.ID]*cancelling
	// started tells of executions that this engine now has, or of their end where
	// it never had them.
	started store.Signals
	// queued were accepted here and wait, as far as is known; ended are ends
	// that this engine has written.
	queued, ended *recent
}

// Open starts an engine. What earlier engines left behind is dealt with before
// it returns, as far as it can be: what cannot be now is tried again later.
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

// Close ends the engine. It takes nothing new from now on, and waits for what
// runs until ctx ends; what runs then is stopped, within its grace time, and
// ends FAILED as "interrupted". A second call, while the first waits, ends
// those processes at once. What waits stays in the store for the next engine.
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

// Scratch is the folder below which executions get theirs.
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
