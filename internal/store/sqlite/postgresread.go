package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/qhubctl/qhubctl/internal/store"
)

// postgresReader reads through a pool of connections.
type postgresReader struct {
	p    *postgres
	pool *pgxpool.Pool
}

// read repeats a query that a server away has prevented, unless a row has arrived.
func (r *postgresReader) read(ctx context.Context, query string, args []any, each func(scanner) error) error {
	begun := time.Now()
	for {
		arrived := false
		err := r.once(ctx, inPostgres(query), args, func(row scanner) error {
			arrived = true
			return each(row)
		})
		if err == nil || arrived || !errors.Is(err, store.ErrUnavailable) || time.Since(begun) > r.p.patience {
			return err
		}
		select {
		case <-time.After(reconnectDelay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *postgresReader) once(ctx context.Context, query string, args []any, each func(scanner) error) error {
	rows, err := r.pool.Query(ctx, query, args...)
	if err != nil {
		return r.p.classify(err)
	}
	return r.p.classify(closed(rows, drainPostgres(rows, each)))
}

func (r *postgresReader) close() error {
	r.pool.Close()
	return nil
}
