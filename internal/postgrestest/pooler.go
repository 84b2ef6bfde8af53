package postgrestest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooler starts PgBouncer in transaction mode in front of a server. It returns what makes
// a URL of the server lead through it. Where PgBouncer is not installed, the test skips.
func (s *Server) Pooler(tb testing.TB) func(to string) string {
	tb.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !isFile(program) {
			tb.Skip("PgBouncer is not installed: apt-get install pgbouncer")
		}
	}
	port, err := freePort(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	users, settings := filepath.Join(s.dir, "users"), filepath.Join(s.dir, "pgbouncer.ini")
	for path, text := range map[string]string{
		users: fmt.Sprintf("%q %q\n", superuser, s.password),
		settings: fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%d\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\n"+
			"auth_type = plain\nauth_file = %s\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 100\n"+
			"ignore_startup_parameters = extra_float_digits\n", s.port, port, users),
	} {
		err := os.WriteFile(path, []byte(text), 0o600)
		if err == nil && os.Getuid() == 0 {
			err = os.Chown(path, serverUser, serverUser)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	pooler := s.command(tb.Context(), "pgbouncer", settings)
	pooler.Path = program
	if err := pooler.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = pooler.Process.Kill()
		_ = pooler.Wait()
	})
	through := func(to string) string {
		u, err := url.Parse(to)
		if err != nil {
			tb.Fatal(err)
		}
		u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		return u.String()
	}
	for begun := time.Now(); ; {
		conn, err := pgx.Connect(tb.Context(), through(s.URL()))
		if err == nil {
			_ = conn.Close(tb.Context())
			return through
		}
		if time.Since(begun) > startTimeout {
			tb.Fatalf("pgbouncer did not answer: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
