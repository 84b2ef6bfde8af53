package docs_test

import (
	"bufio"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// servedAPI is the address in the pages about serving, which here is another.
const servedAPI = "http://127.0.0.1:8000"

// TestServePages does what a reader of the pages about serving does, as
// [TestGuide] does with the guide.
func TestServePages(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"serve.md", "keys.md"} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			followServePage(t, page)
		})
	}
}

func followServePage(t *testing.T, page string) {
	t.Helper()
	shell := newShell(t)
	copyExample(t, filepath.Join("..", "examples", "plain"), filepath.Join(strings.TrimSpace(shell.must("pwd")), "examples", "plain"))
	url, output := "", ""
	for _, b := range readBlocks(t, page) {
		text := strings.ReplaceAll(b.text, servedAPI, url)
		switch {
		case b.says("goes on running"):
			url = startServer(t, shell, strings.TrimSpace(text)+" --port 0")
			shell.must("export QHUBCTL_URL=" + url)
		case b.language == "bash":
			var code int
			if output, code = shell.run(text); code != b.exitCode() {
				t.Fatalf("line %d of the page: exit code %d, want %d\n%s\n%s", b.line, code, b.exitCode(), b.text, output)
			}
			if strings.Contains(output, "tok-") {
				t.Errorf("line %d of the page: the output shows a token, want it masked\n%s", b.line, output)
			}
		case b.language == "text":
			if missing := missingLine(output, b.text); missing != "" {
				t.Errorf("line %d of the page: want %q in\n%s", b.line, missing, output)
			}
		case b.language != "toml":
			t.Errorf("line %d of the page: a block of %q is neither run nor compared, want no such block", b.line, b.language)
		}
	}
}

// startServer starts a command that goes on running and returns the address
// that it prints. It is interrupted at the end of the test, and must end well.
func startServer(t *testing.T, shell *shell, command string) (url string) {
	t.Helper()
	setting := shell.must("pwd; echo \"$PATH\"; echo \"$HOME\"; env | grep -i -E '^(pip|uv|xdg)_' || true")
	lines := strings.Split(strings.TrimSpace(setting), "\n")
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	server := exec.CommandContext(ctx, "bash", "-c", "exec env "+command)
	server.Dir = lines[0]
	server.Env = append([]string{"PATH=" + lines[1], "HOME=" + lines[2], "LANG=C.UTF-8"}, lines[3:]...)
	var log strings.Builder
	server.Stderr = &log
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		if err := server.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		kill := time.AfterFunc(time.Minute, cancel)
		defer kill.Stop()
		if err := server.Wait(); err != nil && server.ProcessState.ExitCode() != 130 {
			t.Errorf("the server ended: %v, want exit code 0 or 130\n%s", err, &log)
		}
		if strings.Contains(log.String(), "tok-") {
			t.Errorf("the server's log shows a token, want it masked\n%s", &log)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v, want its address\n%s", err, &log)
	}
	return strings.TrimSpace(line)
}
