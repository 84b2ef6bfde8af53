package httpserver

import (
	"errors"
	"net"
	"sync"
)

// Both returns a listener that accepts what comes in by either of two. Its address
// is that of the first.
func Both(first, second net.Listener) net.Listener {
	b := &bothListener{Listener: first, second: second, accepted: make(chan accepted), closed: make(chan struct{})}
	for _, listener := range []net.Listener{first, second} {
		b.running.Go(func() { b.accept(listener) })
	}
	return b
}

type accepted struct {
	conn net.Conn
	err  error
}

type bothListener struct {
	net.Listener
	second   net.Listener
	accepted chan accepted
	running  sync.WaitGroup

	close  sync.Once
	closed chan struct{}
}

func (b *bothListener) accept(from net.Listener) {
	for {
		conn, err := from.Accept()
		select {
		case b.accepted <- accepted{conn, err}:
		case <-b.closed:
			if err == nil {
				_ = conn.Close()
			}
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// Accept returns the next connection of either listener.
func (b *bothListener) Accept() (net.Conn, error) {
	select {
	case next := <-b.accepted:
		return next.conn, next.err
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

// Close closes both listeners, and waits until neither accepts any more.
func (b *bothListener) Close() error {
	err := net.ErrClosed
	b.close.Do(func() {
		close(b.closed)
		err = errors.Join(b.Listener.Close(), b.second.Close())
		b.running.Wait()
	})
	return err
}
