package httpserver_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/httpserver"
)

// TestBoth serves by two listeners until the end of the server.
func TestBoth(t *testing.T) {
	t.Parallel()
	listen := func() net.Listener {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return listener
	}
	first, second := listen(), listen()
	both := httpserver.Both(first, second)
	if got := both.Addr(); got != first.Addr() {
		t.Errorf("the address is %v, want %v", got, first.Addr())
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go func() { ended <- httpserver.Serve(ctx, server, both, func() {}, time.Second) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, listener := range []net.Listener{first, second, second, first} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("GET at %v: %v, want 200", listener.Addr(), err)
		}
		_ = response.Body.Close()
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v, want no error", err)
	}
	for _, listener := range []net.Listener{first, second} {
		if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a listener accepts after the end: %v, want that it is closed", err)
		}
	}
	if err := both.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v, want %v", err, net.ErrClosed)
	}
}
