// Package interrupt ends a context by the signals that end a command, and keeps
// the signals that follow for the caller.
package interrupt

import (
	"context"
	"errors"
	"os"
	"os/signal"
)

// A SignalError is the cause of a context that a signal has ended. It carries the
// signals that follow: with a second listener a caller could not tell whether a
// signal is the one that ended the context.
type SignalError struct {
	Signal os.Signal
	// Again are the signals after the first.
	Again <-chan os.Signal
}

func (e *SignalError) Error() string { return "interrupted by " + e.Signal.String() }

// Context returns a context that ends with the first signal by which a user or
// the system ends a command. The caller calls stop at the end.
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
