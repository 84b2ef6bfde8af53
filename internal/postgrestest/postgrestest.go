// Package postgrestest starts PostgreSQL servers for tests. It takes the programs initdb
// and postgres from PATH or from Debian's folder; where there are none, the tests skip.
//
//	server := postgrestest.Start(t)
//	url := server.Schema(t) // an empty one
package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// startTimeout bounds the start of a server, and stopTimeout its end.
	startTimeout = time.Minute
	stopTimeout  = 30 * time.Second
	superuser    = "postgres"
	// serverUser runs the servers of tests that root runs: PostgreSQL refuses root.
	serverUser = 65534
)

// A Server is a running PostgreSQL server on a loopback port.
type Server struct {
	bin, dir string
	port     int
	password string
	settings []string
	process  *exec.Cmd
}

// Start makes a server with a new, empty database folder. The test's cleanup ends it.
// Settings have the form name=value. Commits do not wait for the disk unless a setting is
// fsync=on.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	bin, err := programs()
	if err != nil {
		tb.Skip(err)
	}
	// Below a folder of the test the path of a socket would be too long.
	dir, err := os.MkdirTemp("", "qhubctl-postgres") //nolint:usetesting // see above
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{bin: bin, dir: dir, password: rand.Text(), settings: settings}
	tb.Cleanup(func() {
		if err := errors.Join(s.end(syscall.SIGQUIT), os.RemoveAll(dir)); err != nil {
			tb.Error(err)
		}
	})
	if err := s.make(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if s.port, err = freePort(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	s.Start(tb)
	return s
}

// programs finds the folder with initdb and postgres.
func programs() (string, error) {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Sort(folders)
	slices.Reverse(folders) // the newest version first
	if path, err := exec.LookPath("initdb"); err == nil {
		folders = append(folders, filepath.Dir(path))
	}
	for _, dir := range folders {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("PostgreSQL is not installed: apt-get install postgresql, or put initdb and postgres in PATH")
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	_, text, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// command is a program of PostgreSQL, as another user if this one is root.
func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...) //nolint:forbidigo // a program of PostgreSQL, with the variables below
	c.Dir = s.dir
	c.Env = []string{"LC_ALL=C.UTF-8", "PATH=" + os.Getenv("PATH")}
	apart(c)
	return c
}

func (s *Server) make(ctx context.Context) error {
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(s.password), 0o600); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		for _, path := range []string{s.dir, password} {
			if err := os.Chown(path, serverUser, serverUser); err != nil {
				return err
			}
		}
	}
	ctx, end := context.WithTimeout(ctx, startTimeout)
	defer end()
	c := s.command(ctx, "initdb", "--pgdata", s.data(), "--username", superuser, "--pwfile", password,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync", "--no-instructions")
	if output, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return os.Remove(password)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Start starts the server again and waits until it answers.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	args := []string{"-D", s.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-k", s.dir}
	for _, setting := range append([]string{"fsync=off", "max_connections=300", "log_min_messages=fatal",
		"shared_buffers=32MB", "max_wal_size=64MB", "max_locks_per_transaction=256"}, s.settings...) {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	s.process = s.command(context.WithoutCancel(tb.Context()), "postgres", args...)
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		tb.Fatal(err)
	}
	ctx, end := context.WithTimeout(tb.Context(), startTimeout)
	defer end()
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			_ = conn.Close(ctx)
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			_, _ = log.Seek(0, io.SeekStart)
			text, _ := io.ReadAll(log)
			tb.Fatalf("postgres did not answer within %v: %v\n%s", startTimeout, err, text)
		}
	}
}

// Stop ends the server as an administrator does: it closes all connections and writes a
// checkpoint.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	if err := s.end(syscall.SIGINT); err != nil {
		tb.Fatal(err)
	}
}

// Crash ends the server without a checkpoint, so that the next start recovers.
func (s *Server) Crash(tb testing.TB) {
	tb.Helper()
	if err := s.end(syscall.SIGQUIT); err != nil {
		tb.Fatal(err)
	}
}

// end ends the server by a signal.
func (s *Server) end(by syscall.Signal) error {
	if s.process == nil || s.process.Process == nil {
		return nil
	}
	process := s.process
	s.process = nil
	if err := process.Process.Signal(by); err != nil {
		return fmt.Errorf("end postgres: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = process.Wait() // the code tells which signal it was
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(stopTimeout):
		_ = process.Process.Kill()
		<-ended
		return fmt.Errorf("postgres did not end within %v", stopTimeout)
	}
}

// Port is the port of the server at 127.0.0.1.
func (s *Server) Port() int { return s.port }

// Password is that of the superuser, postgres.
func (s *Server) Password() string { return s.password }

// URL is the connection string of the database postgres.
func (s *Server) URL() string { return s.url(nil) }

func (s *Server) url(query url.Values) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, s.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/postgres", RawQuery: query.Encode(),
	}).String()
}

// Schema makes an empty schema and returns a connection string that leads to it. The
// test's cleanup drops it.
func (s *Server) Schema(tb testing.TB) string {
	tb.Helper()
	name := "s" + strings.ToLower(rand.Text())
	if err := s.Exec(tb.Context(), "CREATE SCHEMA "+name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if s.process == nil {
			return
		}
		if err := s.Exec(context.WithoutCancel(tb.Context()), "DROP SCHEMA "+name+" CASCADE"); err != nil {
			tb.Error(err)
		}
	})
	return s.url(url.Values{"search_path": {name}})
}

// Exec runs a statement as the superuser.
func (s *Server) Exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
