package cli_test

import (
	"encoding/json"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// callerProgram calls addresses and tells how each call ended.
const callerProgram = `
import http.client
import json
import socket
import time


def call(host, port, path, token, method):
    connection = http.client.HTTPConnection(host, port, timeout=20)
    headers = {"Host": "127.0.0.1", "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = "Bearer " + token
    try:
        connection.request(method, path, body="{}" if method == "POST" else None, headers=headers)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        return f"{response.status} {response.headers.get('Content-Type', '')} {text[:60]}"
    except OSError as error:
        return type(error).__name__


def blind(host, port):
    # The request is sent whole, and the socket is gone before the server looks.
    for _ in range(20):
        with socket.create_connection((host, port), 20) as s:
            s.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


def run(calls: list[list[str]], blind_at: list[str] = []) -> dict:
    for host, port in [at.rsplit(" ", 1) for at in blind_at]:
        blind(host, int(port))
    return {"answers": [call(host, int(port), path, token[::-1], method) for host, port, path, token, method in calls]}
`

// ownAddress is an address of this machine that is not a loopback one.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	return "127.1.2.3"
}

// TestAPIFromInside calls the API and the metrics of the server from an execution.
func TestAPIFromInside(t *testing.T) {
	needLayers(t, "filesystem", "user")
	const token = "tok-5c1d7e9f3a2b4c"
	for name, test := range map[string]struct {
		start string
		flags []string
		with  map[string]string // answers by what token is shown
	}{
		"warm":       {"warm", nil, map[string]string{"": "403", token: "403"}},
		"cold":       {"cold", nil, map[string]string{"": "403", token: "403"}},
		"with token": {"warm", []string{"--host", "::", "--auth=@TOKEN"}, map[string]string{"": "403", "tok-that-is-another": "403", token: "201"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := service(t, callerProgram)
			put(t, filepath.Join(dir, "pyproject.toml"), "[tool.qhubctl]\nstart = \""+test.start+"\"\n")
			flags := []string{"--metrics", "127.0.0.1:0"}
			hosts := []string{"127.0.0.1"}
			for _, flag := range test.flags {
				flags = append(flags, strings.Replace(flag, "TOKEN", fileOf(t, token), 1))
				hosts = []string{"127.0.0.1", "::1", "127.9.8.7", ownAddress(t)}
			}
			s := &spied{served: serve(t, dir, flags...)}
			t.Setenv("QHUBCTL_TOKEN", token)
			if test.start == "warm" {
				s.untilWarm()
			}
			port := s.url[strings.LastIndexByte(s.url, ':')+1:]
			metrics := regexp.MustCompile(`Metrics +http://127.0.0.1:(\d+)`).FindStringSubmatch(s.said.String())[1]
			var calls [][5]string
			var want []string
			for shown, status := range test.with {
				for _, host := range hosts {
					if status == "201" { // the body is not what the service takes
						status = "400"
					}
					calls = append(calls, [5]string{host, port, "/", backwards(shown), "POST"})
					want = append(want, status)
					for _, path := range []string{"/", "/docs", "/openapi.json", "/nothing"} {
						calls = append(calls, [5]string{host, port, path, backwards(shown), "GET"})
						switch {
						case status == "403":
							want = append(want, "403 application/problem+json")
						case path == "/nothing":
							want = append(want, "404")
						default:
							want = append(want, "")
						}
					}
				}
				calls = append(calls, [5]string{"127.0.0.1", metrics, "/metrics", backwards(shown), "GET"})
				want = append(want, "403 application/problem+json")
			}
			body, err := json.Marshal(map[string]any{"calls": calls, "blind_at": []string{"127.0.0.1 " + port}})
			if err != nil {
				t.Fatal(err)
			}
			out, errs, code := s.qhubctl("executions", "start", "--wait", "-d", string(body))
			var result struct{ Answers []string }
			if code != 0 || json.Unmarshal([]byte(out), &result) != nil || len(result.Answers) != len(want) {
				t.Fatalf("exit code %d: %s%s\n%s", code, out, errs, s.said)
			}
			for i, answer := range result.Answers {
				if !strings.HasPrefix(answer, want[i]) || strings.HasPrefix(answer, "401") || want[i] == "" && strings.HasPrefix(answer, "403") {
					t.Errorf("%q = %s, want %s", calls[i], answer, want[i])
				}
			}
			if out, errs, _ := s.qhubctl("executions", "list", "--output", "json"); strings.Count(out, `"createdAt"`) != 1 {
				t.Errorf("the execution has started others: %s%s", out, errs)
			}
		})
	}
}

// TestServeTakesBothLoopbacks lets no other program listen where callers of
// "localhost" may look for the server.
func TestServeTakesBothLoopbacks(t *testing.T) {
	if listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp6", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6: ", err)
	} else {
		_ = listener.Close()
	}
	s := serve(t, workspaceDir(t))
	port := s.url[strings.LastIndexByte(s.url, ':')+1:]
	if listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp6", net.JoinHostPort("::1", port)); err == nil {
		_ = listener.Close()
		t.Errorf("another program can listen at [::1]:%s beside the server", port)
	}
	s.url = "http://" + net.JoinHostPort("::1", port)
	if _, errs, code := s.qhubctl("executions", "list"); code != 0 {
		t.Errorf("executions list at %s: exit code %d: %s", s.url, code, errs)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("the server ended with %d, want 0: %s", code, s.said)
	}
}
