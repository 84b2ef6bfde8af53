// Package interrupt ends a context when a signal ends the command, and passes later
// signals to the caller.
package interrupt

import (
	"context"
	"errors"
	"os"
	"os/signal"
)

// A SignalError is the cause of a context that a signal has ended. It also delivers
// the signals that follow: a second listener could not tell them from the first one.
type SignalError struct {
	Signal os.Signal
	// Again are the signals after the first.
	Again <-chan os.Signal
}

func (e *SignalError) Error() string { return "interrupted by " + e.Signal.String() }

// Context returns a context that ends with the first signal to end the command, from
// the user or the system. The caller calls stop at the end.
func Context(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, interrupts...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case s := <-signals:
			cancel(&SignalError{s, signals})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
		<-ended
	}
}

// Of returns the signal that ended a context, or false if none did.
func Of(ctx context.Context) (*SignalError, bool) {
	return errors.AsType[*SignalError](context.Cause(ctx))
}
