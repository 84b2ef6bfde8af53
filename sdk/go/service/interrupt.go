package service

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// interruption is the cause of a context that a signal has cancelled.
type interruption struct{ signal os.Signal }

func (i *interruption) Error() string { return "signal: " + i.signal.String() }

// interruptible returns a context that the first SIGTERM or interrupt cancels. From then on
// signals have their default effect: a second one ends the program.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(&interruption{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// cancellation reports whether err only says that the context has ended, and the cause of
// that.
func cancellation(ctx context.Context, err error) (cause error, cancelled bool) { //nolint:revive // cause is what it looks for, not how it fails
	if ctx.Err() == nil {
		return nil, false
	}
	cause = context.Cause(ctx)
	return cause, errors.Is(err, ctx.Err()) || errors.Is(err, cause)
}

// cancelledType is the type of the problem of a cancelled execution; a client
// compares it.
const cancelledType = "urn:qhubctl:problem:cancelled"

func cancelledProblem(cause error) *Problem {
	return &Problem{Title: "Cancelled", Detail: "The service was cancelled (" + cause.Error() + ").", Status: 409, uri: cancelledType}
}

// exitCancelled is the exit code that shells use for a program that a signal has ended; a
// context that was cancelled otherwise counts as interrupted.
func exitCancelled(cause error) int {
	if i, ok := errors.AsType[*interruption](cause); ok && i.signal == syscall.SIGTERM {
		return 128 + int(syscall.SIGTERM)
	}
	return 128 + int(syscall.SIGINT)
}
