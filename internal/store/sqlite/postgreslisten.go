package sqlite

import (
	"cmp"
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A listener passes on what other processes change. It has a connection that does
// nothing but LISTEN. While that is away, or does not deliver, all watchers look once in
// each poll interval.
type listener struct {
	p       *postgres
	signals *store.Signals
	cancel  context.CancelFunc
	done    chan struct{}
	// heard is whether the listener has had its last probe back.
	heard atomic.Bool
	// until is when there was no other store for so long that it needs no notifications,
	// in nanoseconds since 1970.
	until atomic.Int64
	// repeat: a commit may have begun before the other store was heard.
	repeat bool
}

// othersFor is the number of poll intervals for which a store that was heard counts as
// being there. Each sends a probe in every interval.
const othersFor = 10

// wanted reports whether another store may listen. A commit that notifies none is cheaper:
// it wakes no process.
func (l *listener) wanted() bool {
	return l == nil || !l.heard.Load() || time.Now().UnixNano() < l.until.Load()
}

// extend has other stores count as being there. It reports whether they did not before.
func (l *listener) extend(poll time.Duration) bool {
	now := time.Now()
	return l.until.Swap(now.Add(min(othersFor*poll, time.Hour)).UnixNano()) < now.UnixNano()
}

// startListener returns once it listens.
func startListener(begin context.Context, p *postgres, signals *store.Signals) (*listener, error) {
	ctx, cancel := context.WithCancel(background)
	l := &listener{p: p, signals: signals, cancel: cancel, done: make(chan struct{})}
	conn, err := l.connect(begin)
	if err != nil {
		cancel()
		return nil, p.classify(err)
	}
	go l.loop(ctx, conn)
	return l, nil
}

func (l *listener) poll() time.Duration { return cmp.Or(l.p.options.Poll, time.Second) }

func (l *listener) close() {
	l.cancel()
	<-l.done
}

func (l *listener) loop(ctx context.Context, conn *pgx.Conn) {
	defer close(l.done)
	poll := l.poll()
	for {
		if conn != nil {
			_ = l.listen(ctx, conn, poll) // after any error it connects again
			disconnect(conn)
		}
		if ctx.Err() != nil {
			return
		}
		l.heard.Store(false)
		select {
		case <-time.After(poll):
		case <-ctx.Done():
		}
		conn, _ = l.connect(ctx)
		l.signals.AllChanged() // notifications may have been lost
	}
}

// connect returns a connection that listens.
func (l *listener) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, l.p.direct)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{l.p.channel}.Sanitize()); err != nil {
		disconnect(conn)
		return nil, err
	}
	l.extend(l.poll()) // until it has heard otherwise
	return conn, nil
}

func disconnect(conn *pgx.Conn) {
	ctx, end := context.WithTimeout(background, time.Second)
	defer end()
	_ = conn.Close(ctx)
}

const (
	// probe is the change of a notification that a listener sends to itself. A pooler in
	// front does not deliver it. Other stores hear it, too.
	probe = "?"
	// missed says that the sender has changed something without notifications.
	missed = "!"
)

func (l *listener) listen(ctx context.Context, conn *pgx.Conn, poll time.Duration) error {
	for {
		change := probe
		if l.repeat {
			change, l.repeat = probe+","+missed, false
		}
		if err := l.send(ctx, conn, change); err != nil {
			return err
		}
		if err := l.receive(ctx, conn, poll); err != nil {
			return err
		}
		if !l.heard.Load() {
			l.signals.AllChanged()
		}
	}
}

func (l *listener) send(ctx context.Context, conn *pgx.Conn, change string) error {
	_, err := conn.Exec(ctx, "SELECT pg_notify($1, $2)", l.p.channel, l.p.self+";"+change)
	return err
}

// receive passes notifications on for one poll interval. The probe must be among them.
func (l *listener) receive(ctx context.Context, conn *pgx.Conn, poll time.Duration) error {
	window, end := context.WithTimeout(ctx, poll)
	defer end()
	heard := false
	for {
		n, err := conn.WaitForNotification(window)
		switch {
		case err == nil:
			own, other := l.pass(n.Payload)
			if heard = heard || own; heard {
				l.heard.Store(true)
			}
			if other && l.extend(poll) {
				l.repeat = true
				if err := l.send(ctx, conn, missed); err != nil {
					return err
				}
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case window.Err() != nil && !conn.IsClosed():
			l.heard.Store(heard)
			return nil
		default:
			return err
		}
	}
}

// pass notifies the watchers of a change by another store. It reports whether the
// notification is the probe, and whether it is of another store.
func (l *listener) pass(payload string) (own, other bool) {
	from, changes, _ := strings.Cut(payload, ";")
	if from == l.p.self {
		return strings.HasPrefix(changes, probe), false
	}
	for topic := range strings.SplitSeq(changes, ",") {
		switch topic {
		case "*":
			l.signals.QueueChanged()
		case missed:
			l.signals.AllChanged()
		case probe:
		default:
			l.signals.ExecutionChanged(execution.ID(topic))
		}
	}
	return false, true
}
