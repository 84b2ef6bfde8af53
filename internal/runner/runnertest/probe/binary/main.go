//go:build unix

// Command binary is the probe of package runnertest as a program: it does the actions that
// a test asks for, and reports what it sees.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/qhubctl/qhubctl/sdk/go/datapool"
	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

type input struct {
	Action string         `json:"action"`
	Text   string         `json:"text" default:""`
	Number int            `json:"number" default:"0"`
	Token  *secret.Value  `json:"api_token"`
	Models *datapool.Pool `json:"models"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		child()
		return
	}
	if filepath.Base(os.Args[0]) == "plain" {
		plain()
		return
	}
	service.Main(run)
}

// plain runs without our SDK, as a program in any language can.
func plain() {
	parameter := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(os.Getenv("INPUT_DIRECTORY"), name))
		return string(text)
	}
	number, _ := strconv.Atoi(parameter("number.json"))
	result, err := run(context.Background(), input{Action: parameter("action.txt"), Text: parameter("text.txt"), Number: number})
	if err != nil {
		panic(err)
	}
	document, err := json.Marshal(result)
	if err == nil {
		err = os.WriteFile(filepath.Join(os.Getenv("OUTPUT_DIRECTORY"), "output.json"), document, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

func run(ctx context.Context, in input) (map[string]any, error) {
	switch in.Action {
	case "echo":
		return map[string]any{"text": in.Text}, nil
	case "secret":
		return tellSecret(in.Token)
	case "environment":
		return environment()
	case "pool":
		files, err := in.Models.List()
		return map[string]any{"files": files}, err
	case "write_pool":
		return writePool(in.Number)
	case "exit":
		os.Exit(in.Number)
	case "signal":
		_ = syscall.Kill(os.Getpid(), syscall.Signal(in.Number))
		select {}
	case "sleep":
		return wait(ctx)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		select {}
	case "tree":
		if err := startChildren(); err != nil {
			return nil, err
		}
		return wait(ctx)
	case "leave":
		return map[string]any{}, startChildren()
	case "flood":
		line := strings.Repeat("x", 99) + "\n"
		for range in.Number / 100 {
			_, _ = os.Stdout.WriteString(line)
		}
		return nil, nil
	case "long":
		_, err := os.Stdout.WriteString(strings.Repeat("x", in.Number))
		return nil, err
	case "files":
		return writeFiles(ctx)
	case "fill":
		return fill(ctx)
	}
	return attack(in)
}

// writePool changes a file of a data pool, removes one and makes one.
func writePool(number int) (map[string]any, error) {
	root := filepath.Join(os.Getenv("DATAPOOL_DIRECTORY"), "models")
	old, err := os.ReadFile(filepath.Join(root, "a.txt"))
	if err != nil {
		return nil, err
	}
	return map[string]any{"old": string(old)}, errors.Join(
		os.WriteFile(filepath.Join(root, "a.txt"), []byte("new"), 0o600),
		os.Chmod(filepath.Join(root, "a.txt"), 0o600),
		os.Remove(filepath.Join(root, "b.txt")),
		os.MkdirAll(filepath.Join(root, "dir", "inner"), 0o700),
		os.WriteFile(filepath.Join(root, "dir", "inner", "c.txt"), []byte("made"+strings.Repeat("x", number)), 0o600),
	)
}

func wait(ctx context.Context) (map[string]any, error) {
	fmt.Println("ready")
	<-ctx.Done()
	return nil, ctx.Err()
}

func tellSecret(token *secret.Value) (map[string]any, error) {
	if token == nil {
		return map[string]any{"given": false}, nil
	}
	value, err := token.Unwrap()
	if err != nil {
		return nil, err
	}
	block, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return nil, err
	}
	_, there := os.LookupEnv("SECRET_API_TOKEN")
	seen, err := exec.Command("/proc/self/exe", "child", "environment").Output()
	sum := sha256.Sum256([]byte(value))
	return map[string]any{
		"given": true, "sha256": hex.EncodeToString(sum[:]),
		"inEnviron": there || strings.Contains(strings.Join(os.Environ(), "\n"), value),
		"inBlock":   bytes.Contains(block, []byte(value)),
		"inChild":   bytes.Contains(seen, []byte(value)),
	}, err
}

func environment() (map[string]any, error) {
	for _, name := range []string{"HOME", "TMPDIR"} {
		file, err := os.OpenFile(filepath.Join(os.Getenv(name), "mine"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		_ = file.Close()
	}
	seen := map[string]any{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		seen[name] = value
	}
	return seen, nil
}

// startChildren starts one child in the group, and one orphan in a separate session.
func startChildren() error {
	if err := exec.Command("/proc/self/exe", "child", "sleep").Start(); err != nil {
		return err
	}
	return exec.Command("/proc/self/exe", "child", "orphan").Run()
}

func child() {
	switch os.Args[2] {
	case "environment":
		fmt.Println(os.Environ())
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
		time.Sleep(10 * time.Minute)
	case "sleep":
		time.Sleep(10 * time.Minute)
	case "compute":
		compute(200 * time.Millisecond)
	case "orphan":
		orphan := exec.Command("/proc/self/exe", "child", "sleep")
		orphan.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		_ = orphan.Start()
	}
}

func writeFiles(ctx context.Context) (map[string]any, error) {
	dir := os.Getenv("OUTPUT_DIRECTORY")
	return map[string]any{"files": true}, errors.Join(
		service.Output(ctx).WriteFile("a.txt", []byte("text")),
		service.Output(ctx).WriteFile("b.bin", []byte{0, 0xff}),
		os.Symlink("/etc/hostname", filepath.Join(dir, "link")),
		os.Mkdir(filepath.Join(dir, "folder"), 0o700),
		os.WriteFile(filepath.Join(dir, "folder", "c.txt"), []byte("c"), 0o600),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
	)
}

// fill writes until it is killed, and ignores requests to stop.
func fill(ctx context.Context) (map[string]any, error) {
	for piece := 0; ; piece++ {
		name := fmt.Sprintf("piece-%d", piece)
		if err := service.Output(ctx).WriteFile(name, make([]byte, 1<<16)); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
