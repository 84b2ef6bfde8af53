package hub_test

import (
	"bufio"
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestReadme runs the commands of the README that go from nothing to a service that is
// called with an access key. Only the port is another one.
func TestReadme(t *testing.T) {
	if err := confined(); err != nil {
		t.Skipf("this machine cannot confine builds: %v", err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```bash\n(qhubctl server .*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README has no block of commands that begins with qhubctl server")
	}
	commands := strings.Split(strings.TrimSpace(string(block[1])), "\n")
	if len(commands) != 4 {
		t.Fatalf("the README needs the commands %q, want four", commands)
	}
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	work := filepath.Join(home, "my-service")
	shell := func(dir, text string) *exec.Cmd {
		command := exec.CommandContext(t.Context(), "sh", "-c", text)
		command.Dir = dir
		command.Env = []string{
			"HOME=" + home, "PATH=" + folder + ":" + os.Getenv("PATH"), "PIP_FIND_LINKS=" + os.Getenv("PIP_FIND_LINKS"),
			"QHUBCTL_SERVER_LISTEN=" + address, "SECRET_API_TOKEN=some-token-of-mine",
		}
		return command
	}
	if out, err := shell(home, "qhubctl init my-service").CombinedOutput(); err != nil {
		t.Fatalf("qhubctl init = %v\n%s", err, out)
	}
	server := shell(work, "exec "+commands[0])
	var said bytes.Buffer
	server.Stderr = &said
	stdout, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("%s prints %q, %v\n%s", commands[0], line, err, said.String())
	}
	var out []byte
	for _, text := range commands[1:] {
		text = strings.ReplaceAll(text, "127.0.0.1:8700", address)
		command := shell(work, text)
		var log bytes.Buffer
		command.Stderr = &log
		if out, err = command.Output(); err != nil {
			t.Fatalf("%s = %v\n%s%s", text, err, out, log.String())
		}
	}
	if !bytes.Contains(out, []byte("hello")) || bytes.Contains(out, []byte("some-token-of-mine")) {
		t.Errorf("the last command prints %s, want the result of the service", out)
	}
}
