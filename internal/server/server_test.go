package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/server"
)

// reports counts the reports to the operator.
type reports struct{ warnings []string }

func (*reports) Say(string, ...any)             {}
func (r *reports) Warn(format string, _ ...any) { r.warnings = append(r.warnings, format) }

func options(token server.Token) server.Options {
	return server.Options{
		Host: "127.0.0.1", Token: token, Network: sandbox.NetworkFull, Reporter: &reports{},
		Sandbox: server.SandboxOptions{Off: true}, Log: slog.New(slog.DiscardHandler),
	}
}

// serve runs a server in a folder until the returned function is called.
func serve(t *testing.T, dir string, o server.Options) (s *server.Server, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := server.Listen(ctx, o)
	if err != nil {
		t.Fatalf("Listen() = %v, want no error", err)
	}
	if err := s.UseDir(dir); err != nil {
		t.Fatalf("UseDir() = %v, want no error", err)
	}
	if err := s.Open(ctx); err != nil {
		t.Fatalf("Open() = %v, want no error", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, s.NewAPI("a-service", "", nil)) }()
	return s, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve() = %v, want no error after the context has ended", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v, want no error", err)
		}
	}
}

// status asks for the executions with a token.
func status(t *testing.T, url, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("GET %s = %v, want an answer", url, err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// TestServerKeepsItsToken starts a server twice in a folder: the second one asks
// for the token that the first has made.
func TestServerKeepsItsToken(t *testing.T) {
	dir := t.TempDir()
	kept := ""
	for round := range 2 {
		s, stop := serve(t, dir, options(server.MadeToken()))
		text, err := os.ReadFile(s.TokenFile())
		if err != nil {
			t.Fatalf("round %d: reading the token: %v, want a file", round, err)
		}
		token := strings.TrimSpace(string(text))
		if kept != "" && token != kept {
			t.Errorf("round %d: the token has changed, want that of the first start", round)
		}
		kept = token
		for given, want := range map[string]int{"": http.StatusUnauthorized, "another-token-value": http.StatusUnauthorized, token: http.StatusOK} {
			if got := status(t, s.URL()+"/", given); got != want {
				t.Errorf("round %d: GET / with %d bytes of token = %d, want %d", round, len(given), got, want)
			}
		}
		stop()
	}
}

// TestServerRecommendsAToken warns where executions could call the server.
func TestServerRecommendsAToken(t *testing.T) {
	token, err := server.NewToken([]byte("a-token-of-the-test"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token   server.Token
		network sandbox.Network
		want    int
	}{
		"no token":             {network: sandbox.NetworkFull, want: 1},
		"no token, no network": {network: sandbox.NetworkNone},
		"a token":              {token: token, network: sandbox.NetworkFull},
	} {
		o := options(c.token)
		o.Network = c.network
		said := &reports{}
		o.Reporter = said
		s, err := server.Listen(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: Listen() = %v, want no error", name, err)
		}
		if got := len(said.warnings); got != c.want {
			t.Errorf("%s: Listen() warns %d times, want %d", name, got, c.want)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: Close() = %v, want no error", name, err)
		}
	}
}

func TestShortTokensAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := server.NewToken([]byte(" fifteen-letters ")); err != server.ErrTokenTooShort { //nolint:errorlint // not wrapped
		t.Errorf("NewToken(15 characters) = %v, want %v", err, server.ErrTokenTooShort)
	}
}
