package engine

// A pending is a value that a goroutine makes.
type pending[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// begin has a goroutine make a value. A panic there is a [panicError].
func begin[T any](f func() (T, error)) *pending[T] {
	p := &pending[T]{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer recoverTo(&p.err)
		p.value, p.err = f()
	}()
	return p
}

// wait returns the value. That of a nil pending is the zero value.
func (p *pending[T]) wait() (value T, err error) {
	if p == nil {
		return value, nil
	}
	<-p.done
	return p.value, p.err
}

// panicError is a panic on the way. Its text does not have the value.
type panicError struct{ cause any }

func (e *panicError) Error() string { return "a panic" }

// recoverTo turns a panic into an error. It must be deferred itself.
func recoverTo(err *error) { //nolint:gocritic // it sets a result
	if cause := recover(); cause != nil { //nolint:revive // see above
		*err = &panicError{cause}
	}
}
