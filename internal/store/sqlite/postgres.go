package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// PostgresOptions adjust a [Store] in Postgres. The zero value is for production.
type PostgresOptions struct {
	// Direct is a connection string that no pooler is behind, for LISTEN. Empty: that
	// of the store.
	Direct ConnectionString
	// Now is the clock for all times and leases. Nil: the server's.
	Now func() time.Time
	// Readers is the most connections that read. Zero: four.
	Readers int
	// Patience is how long an operation waits for a server that does not answer. Zero:
	// ten seconds.
	Patience time.Duration
	// Poll is how often watchers look while notifications do not arrive. Zero: one
	// second.
	Poll time.Duration
	// Committed gets the time of each commit. It must return at once. Nil: not called.
	Committed func(took time.Duration)
}

// OpenPostgres opens the schema that a connection string leads to, and makes its
// tables.
func OpenPostgres(ctx context.Context, at ConnectionString, options PostgresOptions) (*Store, error) {
	p, err := newPostgres(at, options)
	if err != nil {
		return nil, err
	}
	if err := p.migrate(ctx); err != nil {
		return nil, fmt.Errorf("open the database %s: %w", p.name(), err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, p.pool)
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", p.name(), p.classify(err))
	}
	// Each commit is durable. Without it, a database that crashes could forget that an
	// execution has started, and nothing would show that it may have.
	s := &Store{startSurvives: survivesPowerLoss, endSurvives: survivesPowerLoss}
	s.reader = &postgresReader{p: p, pool: pool}
	session := &postgresSession{p: p}
	now := options.Now
	if now == nil {
		now = session.now
	}
	err = session.connect(ctx)
	if err == nil {
		s.writer, err = newWriter(session, &s.Signals, Options{
			Now: now, Committed: options.Committed, several: true, patience: p.patience,
		})
	}
	if err == nil {
		s.listener, err = startListener(ctx, p, &s.Signals)
		session.listener.Store(s.listener)
	}
	if err != nil {
		if s.writer != nil {
			err = errors.Join(err, s.writer.close())
		}
		pool.Close()
		return nil, fmt.Errorf("open the database %s: %w", p.name(), err)
	}
	return s, nil
}

// postgres has what the connections of a store share.
type postgres struct {
	options  PostgresOptions
	patience time.Duration
	conn     *pgx.ConnConfig
	direct   *pgx.ConnConfig
	pool     *pgxpool.Config
	// self marks the notifications of this store; channel is where they are sent.
	self, channel string
}

func newPostgres(at ConnectionString, options PostgresOptions) (*postgres, error) {
	pool, err := pgxpool.ParseConfig(at.text)
	if err != nil {
		return nil, errConnectionString
	}
	direct := pool.ConnConfig.Copy()
	if options.Direct != (ConnectionString{}) {
		if direct, err = pgx.ParseConfig(options.Direct.text); err != nil {
			return nil, errConnectionString
		}
	}
	pool.ConnConfig.Password, direct.Password = at.password, cmp.Or(options.Direct.password, at.password)
	pool.MaxConns = int32(cmp.Or(options.Readers, 4))
	for _, c := range []*pgx.ConnConfig{pool.ConnConfig, direct} {
		c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 5*time.Second)
		c.RuntimeParams["application_name"] = cmp.Or(c.RuntimeParams["application_name"], "qhubctl")
	}
	return &postgres{
		options: options, patience: cmp.Or(options.Patience, 10*time.Second),
		conn: pool.ConnConfig, direct: direct, pool: pool, self: uuid.NewString(),
	}, nil
}

// errConnectionString leaves out what the string has: it may be a password.
var errConnectionString = errors.New("the connection string of the database is not valid; it takes postgres://USER@HOST:PORT/DATABASE, with options such as ?sslmode=verify-full")

// Ping asks a store in Postgres for an answer, without patience. Other stores have one.
func (s *Store) Ping(ctx context.Context) error {
	reader, ok := s.reader.(*postgresReader)
	if !ok {
		return nil
	}
	return reader.once(ctx, "SELECT 1", nil, func(scanner) error { return nil })
}

// name names the database for people.
func (p *postgres) name() string {
	return fmt.Sprintf("%s on %s", p.conn.Database, p.conn.Host)
}
