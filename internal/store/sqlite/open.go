package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	driver "modernc.org/sqlite"

	"github.com/qhubctl/qhubctl/internal/store"
)

// Options adjust a [Store]. The zero value is for production.
type Options struct {
	// Now is the clock for all times and leases. Nil: the system's.
	Now func() time.Time
	// ScrubAfter is how long the bytes of destroyed secrets may stay in the
	// files. Zero: two seconds.
	ScrubAfter time.Duration
	// Readers is the number of connections that read. Zero: four.
	Readers int
	// Committed gets the time of each commit, with the sync of the disk. The
	// writer calls it between two commits, so it must return at once. Nil: not
	// called.
	Committed func(took time.Duration)

	several  bool          // other processes write, too
	patience time.Duration // see writer
}

// Store is a [store.Store] in one SQLite database.
type Store struct {
	store.Signals
	writer *writer
	reader reader
	// startSurvives is the durability of Store.Start, endSurvives that of Store.Finish.
	startSurvives, endSurvives durability
	listener                   *listener // nil: other processes are not heard
}

var _ store.Store = (*Store)(nil)

const busyTimeout = 5 * time.Second

// useFdatasync makes the driver sync by fdatasync. For a database it is as
// durable as fsync, and saves a write to the file system's journal per commit.
// The switch is for the whole process.
var useFdatasync = sync.OnceFunc(func() {
	// The driver falls back to fsync where there is no fdatasync.
	_, _ = driver.Fdatasync(true)
})

// Open opens the database at path and makes it if there is none. The file and
// its folder can be read by their owner only.
func Open(ctx context.Context, path string, options Options) (*Store, error) {
	useFdatasync()
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	writeDB, err := sql.Open("sqlite", dsn(path,
		"journal_mode(wal)", "synchronous(full)", "secure_delete(on)", "foreign_keys(on)",
		// A checkpoint copies pages and syncs twice: every 16 MB, not every 4.
		"wal_autocheckpoint(4000)", "cache_size(-16384)"))
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	writeDB.SetMaxOpenConns(1)
	if err := migrate(ctx, writeDB); err != nil {
		return nil, errors.Join(fmt.Errorf("open the store %s: %w", path, err), writeDB.Close())
	}
	boot := readBoot()
	if boot != "" {
		if err := noteBoot(ctx, writeDB, boot); err != nil {
			return nil, errors.Join(fmt.Errorf("open the store %s: %w", path, err), writeDB.Close())
		}
	}
	s := &Store{startSurvives: survivesPowerLoss}
	if boot != "" {
		s.startSurvives = survivesCrash
	}
	session, err := newSQLiteSession(ctx, writeDB)
	if err == nil {
		s.writer, err = newWriter(session, &s.Signals, options)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store %s: %w", path, err), writeDB.Close())
	}
	readDB, err := sql.Open("sqlite", dsn(path, "query_only(on)", "cache_size(-4096)"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store: %w", err), s.writer.close())
	}
	readers := cmp.Or(options.Readers, 4)
	readDB.SetMaxOpenConns(readers)
	readDB.SetMaxIdleConns(readers)
	s.reader = &sqliteReader{db: readDB, stmts: map[string]*sql.Stmt{}}
	return s, nil
}

func dsn(path string, pragmas ...string) string {
	query := url.Values{
		// IMMEDIATE takes the right to write at once. A transaction that reads
		// first and then writes could not wait for that right.
		"_txlock": {"immediate"},
		"_pragma": append([]string{
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
			// Nothing of a transaction goes to a temporary file.
			"temp_store(memory)",
		}, pragmas...),
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

// createPrivate makes the file before SQLite does, which would let everyone
// read it; the log and its index take over the mode.
func createPrivate(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of the store: %w", err)
	}
	// Only ever a new file: closing one that SQLite has open elsewhere in
	// this process would release its locks.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the store: %w", err)
	}
	return file.Close()
}

// Close ends the writer after its current group, scrubs if that is due, and
// closes the database.
func (s *Store) Close() error {
	if s.listener != nil {
		s.listener.close()
	}
	return errors.Join(s.reader.close(), s.writer.close())
}

// read runs a query and calls each for every row.
func (s *Store) read(ctx context.Context, query string, args []any, each func(scanner) error) error {
	return s.reader.read(ctx, query, args, each)
}
