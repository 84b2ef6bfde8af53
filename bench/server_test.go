package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A server is one that runs, with a service.
type server struct {
	url   string
	pid   int
	token string // that callers show; empty: none
}

// startServer starts a server in a separate process group, which ends with the
// benchmark, and returns once it has run the service.
func startServer(b *testing.B, c contender, kind workload) *server {
	b.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	dir := place(b, c, kind)
	command := c.command(dir, port)
	command.Dir = dir
	said, err := os.Create(filepath.Join(b.TempDir(), "stderr"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = said.Close() })
	command.Stderr = said
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { end(command) })
	s := &server{url: "http://127.0.0.1:" + strconv.Itoa(port), pid: command.Process.Pid}
	if c.platform {
		s.deploy(b, dir)
	}
	if err := s.await(kind); err != nil {
		text, _ := os.ReadFile(said.Name())
		b.Fatalf("await(%s) = %v, want a server that has run the service\n%s", c.name, err, text)
	}
	return s
}

// deploy deploys a service to a platform that is starting, and has callers call it by the
// gateway.
func (s *server) deploy(b *testing.B, dir string) {
	b.Helper()
	file := filepath.Join(platformDir(dir), "owner-token")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		_, err := s.request(http.DefaultClient, http.MethodGet, s.url+"/readyz", "")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			b.Fatalf("the platform is not ready: %v", err)
		}
	}
	token, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	s.token = strings.TrimSpace(string(token))
	home := append(os.Environ(), "HOME="+b.TempDir(), "XDG_CONFIG_HOME=")
	for _, args := range [][]string{{"login", s.url, "--token", "@" + file}, {"up", dir, "--name", "measured"}} {
		command := exec.Command(built(b), append(args, "--quiet")...)
		command.Env = home
		out, err := command.Output()
		if err != nil {
			b.Fatalf("qhubctl %q = %v\n%s", args, err, out)
		}
		s.url = cmp.Or(strings.TrimSpace(string(out)), s.url)
	}
}

// platformDir is the data folder of the platform that a service is deployed to.
func platformDir(dir string) string { return filepath.Join(filepath.Dir(dir), "platform") }

func end(command *exec.Cmd) {
	_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
	kill := time.AfterFunc(20*time.Second, func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
	_ = command.Wait()
	kill.Stop()
}

// await returns when the server answers and an execution has left all that it
// should leave.
func (s *server) await(kind workload) error {
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		_, err := s.request(client, http.MethodGet, s.url+"/", "")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it does not answer: %w", err)
		}
	}
	id, err := s.follow(client, false)
	if err != nil {
		return err
	}
	result, err := s.request(client, http.MethodGet, s.url+"/"+id+"/result", "")
	if err == nil && len(result) < kind.bytes {
		err = fmt.Errorf("the result has %d bytes, not %d", len(result), kind.bytes)
	}
	return err
}

// execute starts an execution and follows it to its end.
func (s *server) execute(client *http.Client, wait bool) error {
	_, err := s.follow(client, wait)
	return err
}

func (s *server) follow(client *http.Client, wait bool) (id string, err error) {
	var state struct{ ID, Status string }
	text, err := s.request(client, http.MethodPost, s.url+"/", `{"data": {"n": 1}}`)
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil {
		return "", err
	}
	address := s.url + "/" + state.ID
	if wait {
		address += "?wait=30s"
	}
	for begun := time.Now(); state.Status == "PENDING" || state.Status == "RUNNING" || state.Status == "UNKNOWN"; {
		if time.Since(begun) > time.Minute {
			return "", errors.New("an execution does not end")
		}
		if !wait {
			time.Sleep(time.Millisecond)
		}
		text, err := s.request(client, http.MethodGet, address, "")
		if _, unknown := errors.AsType[*notFoundError](err); unknown {
			continue // the published server may not know yet what it has accepted
		}
		if err == nil {
			err = json.Unmarshal(text, &state)
		}
		if err != nil {
			return "", err
		}
	}
	if state.Status != "SUCCEEDED" {
		return "", fmt.Errorf("an execution is %s", state.Status)
	}
	return state.ID, nil
}

type notFoundError struct{ address string }

func (e *notFoundError) Error() string { return e.address + " is not there" }

func (s *server) request(client *http.Client, method, address, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		r.Header.Set("X-Auth-Token", s.token)
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusNotFound {
		return nil, &notFoundError{address}
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, address, response.Status, text)
	}
	return text, nil
}
