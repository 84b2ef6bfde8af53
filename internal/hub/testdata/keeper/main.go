// Command keeper is a service that reads and changes its data pool.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/qhubctl/qhubctl/sdk/go/datapool"
	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// Input has a field for each parameter of the service.
type Input struct {
	Models datapool.Pool `json:"models"`
	// Write has contents by file name, Remove names of files, and Link a name for a
	// link to /etc/passwd. Fail ends it with an error after that.
	Write  map[string]string `json:"write" default:"{}"`
	Remove []string          `json:"remove" default:"[]"`
	Link   string            `json:"link" default:""`
	Fail   bool              `json:"fail" default:"false"`
	// Secret is a file for the secret, and Binary one for it between other bytes.
	Secret string `json:"secret" default:""`
	Binary string `json:"binary" default:""`
	// Wait is an address that it calls at its end, before its changes count.
	Wait  string        `json:"wait" default:""`
	Token *secret.Value `json:"api_token"`
}

// Output is what it finds first.
type Output struct {
	Files map[string]string `json:"files"`
	Error string            `json:"error"`
}

func run(_ context.Context, in Input) (Output, error) {
	root := filepath.Join(os.Getenv("DATAPOOL_DIRECTORY"), "models")
	out := Output{Files: map[string]string{}}
	resolved, err := filepath.EvalSymlinks(root)
	if err != nil {
		return out, err
	}
	err = filepath.WalkDir(resolved, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(resolved, path)
		out.Files[name] = string(content)
		return err
	})
	if err != nil {
		return out, err
	}
	if err := change(root, in); err != nil {
		out.Error = err.Error()
	}
	fmt.Println("changed")
	if in.Wait != "" {
		response, err := http.Get(in.Wait) //nolint:noctx // the execution ends with it
		if err != nil {
			return out, err
		}
		_ = response.Body.Close()
	}
	if in.Fail {
		return out, errors.New("told to fail")
	}
	return out, nil
}

func change(root string, in Input) error {
	for name, content := range in.Write {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	for _, name := range in.Remove {
		if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	if in.Link != "" {
		if err := os.Symlink("/etc/passwd", filepath.Join(root, in.Link)); err != nil {
			return err
		}
	}
	if in.Token == nil {
		return nil
	}
	value, err := in.Token.Unwrap()
	if err == nil && in.Secret != "" {
		err = os.WriteFile(filepath.Join(root, in.Secret), []byte("the token is "+string(value)+"\n"), 0o600)
	}
	if err == nil && in.Binary != "" {
		err = os.WriteFile(filepath.Join(root, in.Binary), []byte("\x00\xff"+string(value)+"\x00"), 0o600)
	}
	return err
}

func main() { service.Main(run) }
