package reference

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

const (
	// fetchTime is how long it may take to fetch a value.
	fetchTime = 10 * time.Second
	// keepFor is how long a value is kept.
	keepFor = time.Minute
	// maxKept is how many values are kept.
	maxKept = 1000
	// atOnce is how many values are fetched at once, each by a process.
	atOnce = 8
)

// Options say how a [Resolver] works. Policy is needed.
type Options struct {
	Policy *Policy
	// Program is the path of qhubctl-refs. Empty: it is beside this program, or in PATH.
	Program string
	// Time is how long a value may take. Zero: 10 seconds.
	Time time.Duration
	// Keep is how long a value is kept. Zero: a minute.
	Keep time.Duration
}

// An Error says why a reference has no value. It holds nothing of a value.
type Error struct {
	Reference Reference
	// Reason continues the sentence.
	Reason string
	Advice string
}

func (e *Error) Error() string {
	return fmt.Sprintf("cannot resolve the reference %s: %s", e.Reference, e.Reason)
}

// Hint says what to do.
func (e *Error) Hint() string { return e.Advice }

// A Resolver fetches the values of references. Callers that ask for the same one share
// one process, and the value for a minute. It is safe for concurrent use. Make one with
// [NewResolver].
type Resolver struct {
	options Options
	slots   chan struct{}
	life    context.Context //nolint:containedctx // it ends the processes when the resolver is closed
	end     context.CancelFunc
	fetches sync.WaitGroup

	mu      sync.Mutex
	key     *sealer
	kept    map[string][]byte // sealed values
	flights map[string]*flight
}

// A flight is a value that is being fetched.
type flight struct {
	done   chan struct{}
	sealed []byte
	err    error
}

// NewResolver makes a resolver. The caller closes it.
func NewResolver(o Options) (*Resolver, error) {
	if o.Time == 0 {
		o.Time = fetchTime
	}
	if o.Keep == 0 {
		o.Keep = keepFor
	}
	key, err := newSealer()
	if err != nil {
		return nil, err
	}
	r := &Resolver{options: o, slots: make(chan struct{}, atOnce), key: key, kept: map[string][]byte{}, flights: map[string]*flight{}}
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// Close ends the processes and forgets all values.
func (r *Resolver) Close() error {
	r.end()
	r.fetches.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.kept)
	return nil
}

// Check returns an error unless a text is a reference that a tenant may use. It fetches
// nothing.
func (r *Resolver) Check(tenant, text string) error {
	parsed, err := Parse(text)
	if err != nil {
		return err
	}
	return r.options.Policy.Check(tenant, parsed)
}

// Resolve fetches the value of a reference for a tenant. The caller clears it. The error is
// an [*Error], a [*ForbiddenError], or that of ctx.
func (r *Resolver) Resolve(ctx context.Context, tenant, text string) (plaintext.Bytes, error) {
	parsed, err := Parse(text)
	if err != nil {
		return plaintext.Bytes{}, err
	}
	if err := r.options.Policy.Check(tenant, parsed); err != nil {
		return plaintext.Bytes{}, err
	}
	sealed, err := r.value(ctx, parsed)
	if err != nil {
		return plaintext.Bytes{}, err
	}
	return r.key.open(sealed, text)
}

// value is the sealed value of a reference: kept, or fetched.
func (r *Resolver) value(ctx context.Context, parsed Reference) ([]byte, error) {
	text := parsed.String()
	r.mu.Lock()
	if sealed, ok := r.kept[text]; ok {
		r.mu.Unlock()
		return sealed, nil
	}
	f, ok := r.flights[text]
	if !ok {
		f = &flight{done: make(chan struct{})}
		r.flights[text] = f
		r.fetches.Go(func() { r.fly(f, parsed) })
	}
	r.mu.Unlock()
	select {
	case <-f.done:
		return f.sealed, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fly fetches a value for all that wait for it. It goes on if they leave: its time is
// bounded, and others may come.
func (r *Resolver) fly(f *flight, parsed Reference) {
	ctx, cancel := context.WithTimeout(r.life, r.options.Time)
	defer cancel()
	f.sealed, f.err = r.sealedValue(ctx, parsed)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.flights, parsed.String())
	if f.err == nil && len(r.kept) < maxKept {
		r.keep(parsed.String(), f.sealed)
	}
	close(f.done)
}

// keep keeps a sealed value for a while. The caller holds mu.
func (r *Resolver) keep(text string, sealed []byte) {
	r.kept[text] = sealed
	time.AfterFunc(r.options.Keep, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if bytes.Equal(r.kept[text], sealed) {
			delete(r.kept, text)
		}
	})
}

func (r *Resolver) sealedValue(ctx context.Context, parsed Reference) ([]byte, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, r.late(parsed)
	}
	value, err := r.options.run(ctx, parsed)
	if ctx.Err() != nil {
		value.Clear()
		return nil, r.late(parsed)
	}
	if err != nil {
		return nil, err
	}
	defer value.Clear()
	if err := plaintext.Check(value.Reveal()); err != nil {
		return nil, &Error{Reference: parsed, Reason: "the value " + err.Error()}
	}
	return r.key.seal(value, parsed.String())
}

// late is the error of a fetch that took too long.
func (r *Resolver) late(parsed Reference) error {
	if r.life.Err() != nil {
		return &Error{Reference: parsed, Reason: "the server is stopping"}
	}
	return &Error{Reference: parsed, Reason: fmt.Sprintf("there was no answer within %s", r.options.Time), Advice: "check that the store answers at the address in the settings of its client"}
}

// ErrNoProgram says that qhubctl-refs was not found.
var ErrNoProgram = errors.New("the program " + ProgramName + " is not installed")
