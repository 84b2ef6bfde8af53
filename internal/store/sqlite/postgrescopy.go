package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/store"
)

// ErrNotEmpty says that a schema has rows already.
var ErrNotEmpty = errors.New("the schema in Postgres is not empty")

// A CopiedTable is a table with the same rows in both databases.
type CopiedTable struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"`
}

// CopyToPostgres copies the database at path, which no server may use meanwhile, into an
// empty schema. It reads both back and compares the tables. While the database at path is
// still locked it calls settle; if that fails, the schema is made empty again.
func CopyToPostgres(ctx context.Context, path string, at ConnectionString, settle func() error) (tables []CopiedTable, err error) {
	p, err := newPostgres(at, PostgresOptions{})
	if err != nil {
		return nil, err
	}
	source, release, err := exclusive(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := p.migrate(ctx); err != nil {
		return nil, fmt.Errorf("open the database %s: %w", p.name(), err)
	}
	conn, err := pgx.ConnectConfig(ctx, p.direct)
	if err != nil {
		return nil, p.classify(err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	c := &copying{source: source}
	if err := pgx.BeginFunc(ctx, conn, func(target pgx.Tx) error {
		c.target = target
		return c.run(ctx)
	}); err != nil {
		return nil, fmt.Errorf("copy to the database %s: %w", p.name(), err)
	}
	if err := settle(); err != nil {
		return nil, errors.Join(err, c.empty(context.WithoutCancel(ctx), conn))
	}
	return c.tables, nil
}

// CheckUnused returns [ErrInUse] if a server uses the database at path.
func CheckUnused(ctx context.Context, path string) error {
	_, release, err := exclusive(ctx, path)
	if err != nil {
		return err
	}
	return release()
}

// exclusive brings a database up to date, and locks it so that no other process reads it.
func exclusive(ctx context.Context, path string) (_ *sql.Conn, release func() error, err error) {
	alone := func(db *sql.DB) error {
		var mode string
		// It needs a database that no other connection has open.
		err := db.QueryRowContext(ctx, "PRAGMA journal_mode=DELETE").Scan(&mode)
		if err = classify(err); errors.Is(err, store.ErrBusy) || err == nil && mode != "delete" {
			return ErrInUse
		}
		return err
	}
	db, err := sql.Open("sqlite", dsn(path)+"&_pragma=busy_timeout(1000)")
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if err := alone(db); err != nil {
		return nil, nil, err
	}
	if err := migrate(ctx, db); err != nil {
		return nil, nil, err
	}
	if err := alone(db); err != nil {
		return nil, nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN EXCLUSIVE"); err != nil {
		return nil, nil, errors.Join(ErrInUse, classify(err), conn.Close())
	}
	return conn, func() error {
		_, err := conn.ExecContext(background, "ROLLBACK")
		return errors.Join(err, conn.Close(), db.Close())
	}, nil
}

// copying copies all tables in one transaction.
type copying struct {
	source *sql.Conn
	target pgx.Tx
	tables []CopiedTable
}

func (c *copying) run(ctx context.Context) error {
	if _, err := c.target.Exec(ctx, "SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))::text", writerLock); err != nil {
		return err
	}
	names, err := c.names(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		var filled bool
		if err := c.target.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+quoted(name)+")").Scan(&filled); err != nil {
			return err
		}
		if filled {
			return fmt.Errorf("%w: the table %s has rows", ErrNotEmpty, name)
		}
	}
	for _, name := range names {
		if err := c.table(ctx, name); err != nil {
			return fmt.Errorf("the table %s: %w", name, err)
		}
	}
	return nil
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// ofMachine is the table of a file that says which machine has it.
const ofMachine = "machine"

// names are the tables, each after those that it refers to.
func (c *copying) names(ctx context.Context) (names []string, err error) {
	refers := map[string][]string{}
	rows, err := c.source.QueryContext(ctx, `SELECT m.name, coalesce(f."table", '') FROM sqlite_master m LEFT JOIN pragma_foreign_key_list(m.name) f
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT IN ('goose_db_version', '`+ofMachine+`') ORDER BY m.name`)
	if err != nil {
		return nil, err
	}
	err = drain(rows, func(row scanner) error {
		var name, to string
		err := row.Scan(&name, &to)
		refers[name] = append(refers[name], to)
		return err
	})
	if err != nil {
		return nil, err
	}
	var add func(name string)
	add = func(name string) {
		if name == "" || slices.Contains(names, name) {
			return
		}
		for _, to := range refers[name] {
			if to != name {
				add(to)
			}
		}
		names = append(names, name)
	}
	for _, name := range slices.Sorted(maps.Keys(refers)) {
		add(name)
	}
	return names, nil
}

// table copies a table, reads it back and compares both.
func (c *copying) table(ctx context.Context, name string) error {
	columns, err := c.columns(ctx, name)
	if err != nil {
		return err
	}
	list := make([]string, len(columns))
	for i, column := range columns {
		list[i] = quoted(column)
	}
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + quoted(name)
	if _, err := c.target.Exec(ctx, "ALTER TABLE "+quoted(name)+" DISABLE TRIGGER USER"); err != nil {
		return err
	}
	here, err := c.send(ctx, name, columns, query)
	if err != nil {
		return err
	}
	if _, err := c.target.Exec(ctx, "ALTER TABLE "+quoted(name)+" ENABLE TRIGGER USER"); err != nil {
		return err
	}
	there := &tableDigest{}
	rows, err := c.target.Query(ctx, query)
	if err != nil {
		return err
	}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		there.add(values)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if *here != *there {
		return fmt.Errorf("%w: %d rows were copied and %d arrived, or their values differ", store.ErrCorrupt, here.rows, there.rows)
	}
	c.tables = append(c.tables, CopiedTable{Name: name, Rows: here.rows, Digest: here.text()})
	return c.numbers(ctx, name)
}

func (c *copying) columns(ctx context.Context, name string) (columns []string, err error) {
	rows, err := c.source.QueryContext(ctx, "SELECT name FROM pragma_table_info($1) ORDER BY cid", name)
	if err != nil {
		return nil, err
	}
	err = drain(rows, func(row scanner) error {
		var column string
		err := row.Scan(&column)
		columns = append(columns, column)
		return err
	})
	return columns, err
}

// send streams the rows of a table.
func (c *copying) send(ctx context.Context, name string, columns []string, query string) (sum *tableDigest, err error) {
	rows, err := c.source.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	sum = &tableDigest{}
	_, err = c.target.CopyFrom(ctx, pgx.Identifier{name}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		if !rows.Next() {
			return nil, rows.Err()
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, value := range values {
			if text, ok := value.([]byte); ok && text == nil {
				values[i] = []byte{}
			}
		}
		sum.add(values)
		return values, nil
	}))
	return sum, err
}

// numbers has a table go on with the numbers that it has not given yet.
func (c *copying) numbers(ctx context.Context, name string) error {
	var sequence *string
	err := c.target.QueryRow(ctx, `SELECT pg_get_serial_sequence(quote_ident($1::text), column_name::text) FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name = $1::text AND is_identity = 'YES'`, name).Scan(&sequence)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && sequence == nil {
		return nil
	}
	if err != nil {
		return err
	}
	var last int64
	err = c.source.QueryRowContext(ctx, "SELECT seq FROM sqlite_sequence WHERE name = $1", name).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		err = c.source.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM "+quoted(name)).Scan(&last)
	}
	if err != nil || last == 0 {
		return err
	}
	_, err = c.target.Exec(ctx, "SELECT setval($1::text::regclass, $2)", *sequence, last)
	return err
}

// empty removes the copied rows.
func (c *copying) empty(ctx context.Context, conn *pgx.Conn) error {
	names := make([]string, len(c.tables))
	for i, t := range c.tables {
		names[i] = quoted(t.Name)
	}
	_, err := conn.Exec(ctx, "TRUNCATE "+strings.Join(names, ", "))
	return err
}

// A tableDigest is a digest of rows in any order.
type tableDigest struct {
	rows int64
	sum  audit.Sum
}

func (d *tableDigest) add(values []any) {
	d.rows++
	var text []byte
	field := func(kind byte, value string) {
		text = binary.BigEndian.AppendUint64(append(text, kind), uint64(len(value)))
		text = append(text, value...)
	}
	for _, value := range values {
		switch value := value.(type) {
		case nil:
			field('n', "")
		case []byte:
			field('b', string(value))
		default:
			field('v', fmt.Sprint(value))
		}
	}
	d.sum.Add(text, true)
}

func (d *tableDigest) text() string {
	sum := sha256.Sum256(d.sum.Bytes())
	return hex.EncodeToString(sum[:])
}
