package cli

import (
	"context"
	"os"
	"os/signal"
)

// interruption is the cause of a context that a signal has ended. Who looks
// after a process passes on both: a second listener beside the context could
// not tell whether a signal it gets is the one that has ended the context.
type interruption struct {
	signal os.Signal
	// again are the signals after the first.
	again <-chan os.Signal
}

func (i *interruption) Error() string { return "interrupted by " + i.signal.String() }

// interruptible is a context that the first signal ends by which a user or the
// system ends a command.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, interrupts...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case s := <-signals:
			cancel(&interruption{s, signals})
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
		<-ended
	}
}
