//go:build unix

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// roleVariable makes the test binary something else: the service that the
// tests run, or the server that is killed.
const (
	roleVariable = "QHUBCTL_TEST_ROLE"
	asService    = "service"
	asVictim     = "victim"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case asService:
		service.Main(probe)
	case asVictim:
		beVictim(os.Args[1])
	}
	goleak.VerifyTestMain(m,
		// The thread that starts processes lives as long as the program.
		goleak.IgnoreAnyFunction("github.com/qhubctl/qhubctl/internal/runner/process.init.func1.1"))
}

// probeInput is the input of the service that the tests run: it does what
// they ask for.
type probeInput struct {
	Action string        `json:"action"`
	Text   string        `json:"text" default:""`
	Number int           `json:"number" default:"0"`
	Token  *secret.Value `json:"api_token"`
}

// probeDocument describes the service.
const probeDocument = `{
  "schemaVersion": 1, "sdk": {"language": "go", "name": "qhubctl", "version": "0.1.0"}, "entrypoint": "probe",
  "parameters": [
    {"name": "action", "kind": "input", "check": "schema", "required": true, "schema": {"type": "string"}},
    {"name": "text", "kind": "input", "check": "schema", "required": false, "schema": {"type": "string"}},
    {"name": "number", "kind": "input", "check": "schema", "required": false, "schema": {"type": "integer"}},
    {"name": "api_token", "kind": "secret", "required": false}
  ]
}`

func probe(ctx context.Context, in probeInput) (any, error) {
	token := ""
	if in.Token != nil {
		token, _ = in.Token.Unwrap()
	}
	output := service.Output(ctx)
	switch in.Action {
	case "return":
		return map[string]any{"text": in.Text}, nil
	case "list":
		return []string{in.Text}, nil
	case "large":
		return map[string]any{"text": strings.Repeat("x", in.Number)}, nil
	case "nothing":
		return nil, nil
	case "leak":
		return leak(output, token)
	case "leak and fail":
		return nil, &service.Problem{Title: "Bad " + token, Detail: "with " + token, Status: 502, Extensions: map[string]any{"key": token}}
	case "exit":
		os.Exit(in.Number)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "note": // that it ran
		return nil, resultManifest(in.Text)
	case "hold": // until the pipe has been written to
		fmt.Println("ready")
		_, err := os.ReadFile(in.Text)
		return map[string]any{"held": true}, err
	case "sleep":
		fmt.Println("ready")
		<-ctx.Done()
		return nil, ctx.Err()
	case "print":
		for i := range in.Number {
			fmt.Printf("line %d\n", i)
		}
		return nil, nil
	case "say":
		fmt.Println(in.Text)
		fmt.Fprintln(os.Stderr, in.Text)
		return nil, nil
	case "child":
		child := exec.CommandContext(context.WithoutCancel(ctx), "sleep", "600")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			return nil, err
		}
		fmt.Printf("ready %d\n", child.Process.Pid)
		<-ctx.Done()
		return nil, ctx.Err()
	case "fill":
		return nil, output.WriteFile("large", make([]byte, in.Number))
	case "many": // files, in a folder that may be deep
		dir := filepath.Join(os.Getenv("OUTPUT_DIRECTORY"), in.Text)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		for i := range in.Number {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600); err != nil {
				return nil, err
			}
		}
		return map[string]int{"many": in.Number}, nil
	case "odd":
		return nil, oddFiles(os.Getenv("OUTPUT_DIRECTORY"), token)
	}
	return nil, errors.New("no such action: " + in.Action)
}

// oddFiles leaves what hardly anybody would.
func oddFiles(dir, token string) error {
	for _, name := range []string{"\xff", "\xfe", "\xff\xfd", "line\nend", "-rf", "\x1b[2J", strings.Repeat("n", 255)} {
		if err := os.WriteFile(dir+"/"+name, []byte("x"), 0); err != nil {
			return err
		}
	}
	listener, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return errors.Join(
		os.Chdir(dir), // its path may be too long for a socket
		syscall.Bind(listener, &syscall.SockaddrUnix{Name: "socket"}),
		syscall.Mkfifo("pipe", 0o600),
		os.WriteFile("binary\nwithheld", []byte("\x00\xff"+token), 0o600),
	)
}

// leak says a secret in every way a service can.
func leak(output *service.Files, token string) (any, error) {
	fmt.Println("stdout", token)
	fmt.Fprintln(os.Stderr, "stderr", token)
	fmt.Print("half of it " + token[:len(token)/2])
	time.Sleep(20 * time.Millisecond) // so that it comes in two reads
	fmt.Println(token[len(token)/2:])
	err := errors.Join(
		output.WriteFile("text.txt", []byte("in a file: "+token)),
		output.WriteFile("binary.bin", []byte("\x00\xff"+token)),
		output.WriteFile(token+".txt", []byte("in a name")),
		os.Symlink("/etc/hostname", filepath.Join(os.Getenv("OUTPUT_DIRECTORY"), "link.txt")),
	)
	return map[string]any{"value": token, token: "key", "list": []string{"a " + token + " b"}}, err
}

// resultManifest appends a line to a file that many processes append to.
func resultManifest(path string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(filepath.Base(os.Getenv("QHUBCTL_EXECUTION")) + "\n")
	return errors.Join(err, file.Close())
}
