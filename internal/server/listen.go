package server

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/peer"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// listen opens the ports and the sandbox. It begins with the ports, which fail most
// often and cost least.
func (s *Server) listen(ctx context.Context) error {
	listener, err := listenAt(ctx, s.options.Host, s.options.Port)
	if err != nil {
		return err
	}
	limiter := httpserver.NewLimiter(httpserver.Limits{Total: descriptors.Connections()}, s.log)
	s.listener = limiter.Listener(listener)
	s.OnClose(func() error { _ = s.listener.Close(); return nil }) // it may be closed already
	if s.metrics, err = s.options.Metrics.listen(ctx, limiter); err != nil {
		return err
	}
	s.OnClose(func() error { s.metrics.close(); return nil })
	if err := s.openSandbox(); err != nil {
		return err
	}
	return s.guard()
}

// listenAt listens at a port. For 127.0.0.1 it also listens at the same port of [::1]
// if that is free. A caller of "localhost" may try [::1] first, and an execution
// could listen there in the server's place.
func listenAt(ctx context.Context, host string, port int) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, &listenError{port, err}
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok || !address.IP.Equal(net.IPv4(127, 0, 0, 1)) {
		return listener, nil
	}
	if other, err := config.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(address.Port))); err == nil {
		listener = httpserver.Both(listener, other)
	}
	return listener, nil
}

type listenError struct {
	port int
	err  error
}

func (e *listenError) Error() string { return fmt.Sprintf("cannot listen: %v", e.err) }
func (e *listenError) Unwrap() error { return e.err }
func (e *listenError) Hint() string {
	return fmt.Sprintf("another program may use port %d; choose another port, or 0 for a free one", e.port)
}

// URL is the address of the server on this machine.
func (s *Server) URL() string {
	if s.options.TLS != nil {
		return "https" + strings.TrimPrefix(urlOf(s.listener), "http")
	}
	return urlOf(s.listener)
}

func urlOf(listener net.Listener) string {
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// SandboxOptions configure the sandbox of executions.
type SandboxOptions struct {
	// Off runs executions without a sandbox, even if the machine can provide one.
	// Required refuses to serve if the machine lacks a layer of it.
	Off, Required bool
	// FirstUser is the first user id for executions, and Users the number of ids.
	// Zero: the default range.
	FirstUser, Users uint32
}

// openSandbox detects the sandbox layers of this machine, and protects this process
// from the processes of executions.
func (s *Server) openSandbox() error {
	o := s.options.Sandbox
	if o.Off {
		return nil
	}
	s.machine = sandbox.Detect(sandbox.Options{FirstID: o.FirstUser, IDs: o.Users})
	s.OnClose(func() error { s.machine.Close(); return nil })
	if o.Required {
		if err := s.machine.Require(); err != nil {
			return err
		}
	} else {
		for _, layer := range s.machine.Missing() {
			s.log.Debug("executions are less confined than they could be", "missing", layer.Name, "because", layer.Says)
		}
	}
	return sandbox.Protect()
}

// guard lets the API recognize connections from executions by their user ids. If that
// is not possible, it recommends a token.
func (s *Server) guard() error {
	if s.machine.HasUsers() {
		guard, err := peer.NewGuard(s.machine.IsExecution)
		if err == nil {
			s.peers = guard
			s.OnClose(func() error { guard.Close(); return nil })
			return nil
		}
		if s.options.Sandbox.Required {
			return fmt.Errorf("cannot tell executions from other callers: %w", err)
		}
		s.log.Debug("executions cannot be distinguished from other callers", "because", err)
	}
	if !s.token.Asked() && s.options.Network == sandbox.NetworkFull {
		s.options.Reporter.Warn("executions can call this server as you can; give --auth, so that callers need a token")
	}
	return nil
}
