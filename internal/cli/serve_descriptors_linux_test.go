package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// from is a client at an address of this machine, with no more connections than
// an address may have where descriptors are fewest.
func from(address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: patience}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxConnsPerHost: 3}, Timeout: patience}
}

// startFrom starts an execution and returns its id.
func startFrom(t *testing.T, client *http.Client, url, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Errorf("POST / failed: %v", err)
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	var started struct{ ID string }
	if err != nil || response.StatusCode != http.StatusCreated || json.Unmarshal(text, &started) != nil {
		t.Errorf("POST / was answered %d %s (%v), want 201", response.StatusCode, text, err)
	}
	return started.ID
}

// endOf waits for the end of an execution. While the server has no descriptors it
// may not be able to report its state.
func endOf(t *testing.T, client *http.Client, url, id string) (status, answer string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/"+id+"?wait=30s", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			return "unknown", err.Error()
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		var e struct{ Status string }
		if response.StatusCode == http.StatusOK && json.Unmarshal(text, &e) == nil && e.Status != "PENDING" && e.Status != "RUNNING" {
			return e.Status, string(text)
		}
	}
}

// TestServeShortOfDescriptors serves with few descriptors while one address holds
// as many connections as it can. All executions that the server accepts succeed,
// and another address can connect.
func TestServeShortOfDescriptors(t *testing.T) {
	for _, test := range []struct {
		name        string
		descriptors int
		flags       []string
	}{
		{"64", 64, nil}, {"128", 128, nil}, {"256", 256, nil}, {"128 without a sandbox", 128, []string{"--no-sandbox"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := service(t, "import time\n\ndef run(seconds: float) -> float:\n    time.sleep(seconds)\n    return seconds\n")
			args := fmt.Sprintf("ulimit -n %d && exec qhubctl serve --concurrency 8 --port 0 --python '%s' %s", test.descriptors, sdkPython(t), strings.Join(test.flags, " "))
			c := exec.CommandContext(t.Context(), "/bin/sh", "-c", args)
			c.Dir, c.Env = dir, plainEnv(t)
			url := startServer(t, c)
			address := strings.TrimPrefix(url, "http://")

			other := from("127.0.0.2")
			long := startFrom(t, other, url, `{"seconds": 5}`)
			ids := []string{long}
			for i := range 2 * test.descriptors {
				held, err := net.DialTimeout("tcp", address, patience) //nolint:noctx // bounded
				if err != nil {
					t.Fatalf("connection %d could not be opened: %v", i, err)
				}
				t.Cleanup(func() { _ = held.Close() })
				if i%2 == 0 { // half of them are being answered, and cannot make room
					_, _ = fmt.Fprintf(held, "GET /%s?wait=60s HTTP/1.1\r\nHost: localhost\r\n\r\n", long)
				}
			}
			var starting sync.WaitGroup
			var mu sync.Mutex
			for range 12 {
				starting.Go(func() {
					id := startFrom(t, other, url, `{"seconds": 0.2}`)
					mu.Lock()
					defer mu.Unlock()
					ids = append(ids, id)
				})
			}
			starting.Wait()
			for _, id := range ids {
				if id == "" {
					continue // said already
				}
				if status, answer := endOf(t, other, url, id); status != "SUCCEEDED" {
					t.Errorf("an accepted execution ended as %s: %s", status, answer)
				}
			}
		})
	}
}
