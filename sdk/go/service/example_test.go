package service_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"

	"github.com/qhubctl/qhubctl/sdk/go/datapool"
	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// serve runs a service like its program: the input is in files, the secrets are in the
// environment.
func serve[In, Out any](run func(context.Context, In) (Out, error), env map[string]string, inputs map[string]string) {
	dir, err := os.MkdirTemp("", "service")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, text := range inputs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	options := service.Options{
		Env:    map[string]string{"INPUT_DIRECTORY": dir, "OUTPUT_DIRECTORY": filepath.Join(dir, "out"), "DATAPOOL_DIRECTORY": dir},
		Stderr: os.Stdout,
	}
	for name, value := range env {
		options.Env[name] = value
	}
	fmt.Println("exit code", service.Run(context.Background(), run, options))
	files, _ := filepath.Glob(filepath.Join(dir, "out", "*"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s\n", filepath.Base(file), text)
	}
}

// A service is a main package whose main is service.Main(run).
func ExampleRun() {
	type Input struct {
		Message  string       `json:"message"`
		APIToken secret.Value `json:"api_token"`
	}
	run := func(_ context.Context, in Input) (string, error) {
		key, err := in.APIToken.Unwrap()
		if err != nil {
			return "", err
		}
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(in.Message))
		return fmt.Sprintf("%x…", mac.Sum(nil)[:4]), nil
	}
	serve(run, map[string]string{"SECRET_API_TOKEN": "tok-123456"}, map[string]string{"message.txt": "hello"})
	// Output:
	// exit code 0
	// output.txt: "3f16daf5…"
}

// The problem document lists all errors of a request at once, and repeats no value.
func ExampleRun_wrongInput() {
	type Order struct {
		Article string `json:"article" minLength:"3"`
		Count   int    `json:"count" minimum:"1" default:"1"`
	}
	type Input struct {
		Order    Order        `json:"order"`
		APIToken secret.Value `json:"api_token"`
	}
	run := func(context.Context, Input) (bool, error) { return true, nil }
	serve(run, nil, map[string]string{"order.json": `{"article": "x", "count": 0}`})
	// Output:
	// Invalid input: api_token: is a secret that the service requires; set the environment variable SECRET_API_TOKEN; order.article: must have at least 3 characters; order.count: must be at least 1
	// exit code 1
	// output.json: {
	//   "type": "about:blank",
	//   "status": 400,
	//   "title": "Invalid input",
	//   "detail": "api_token: is a secret that the service requires; set the environment variable SECRET_API_TOKEN; order.article: must have at least 3 characters; order.count: must be at least 1",
	//   "errors": [
	//     {
	//       "message": "is a secret that the service requires; set the environment variable SECRET_API_TOKEN",
	//       "path": "api_token"
	//     },
	//     {
	//       "message": "must have at least 3 characters",
	//       "path": "order.article"
	//     },
	//     {
	//       "message": "must be at least 1",
	//       "path": "order.count"
	//     }
	//   ]
	// }
}

// A Problem sets the text for the caller of a service. Secrets are masked in it, as in any
// other error.
func ExampleProblem() {
	type Input struct {
		APIToken secret.Value `json:"api_token"`
	}
	run := func(_ context.Context, in Input) (any, error) {
		token, err := in.APIToken.Unwrap()
		if err != nil {
			return nil, err
		}
		return nil, &service.Problem{
			Title:      "Quota used up",
			Detail:     "The token " + token + " may not be used before tomorrow.",
			Extensions: map[string]any{"retryAfter": 3600},
		}
	}
	serve(run, map[string]string{"SECRET_API_TOKEN": "tok-123456"}, nil)
	// Output:
	// Quota used up: The token [redacted] may not be used before tomorrow.
	// exit code 1
	// output.json: {
	//   "type": "about:blank",
	//   "status": 500,
	//   "title": "Quota used up",
	//   "detail": "The token [redacted] may not be used before tomorrow.",
	//   "retryAfter": 3600
	// }
}

// Files beside the result are downloaded by their names.
func ExampleOutput() {
	run := func(ctx context.Context, _ struct{}) (map[string]int, error) {
		report := []byte("all is well\n")
		return map[string]int{"bytes": len(report)}, service.Output(ctx).WriteFile("report.txt", report)
	}
	serve(run, nil, nil)
	// Output:
	// exit code 0
	// output.json: {
	//   "bytes": 12
	// }
	// report.txt: all is well
}

// A pool is a folder; a pointer to a missing one is nil.
func ExampleRun_dataPool() {
	type Input struct {
		Models *datapool.Pool `json:"models"`
	}
	run := func(_ context.Context, in Input) (string, error) {
		if in.Models == nil {
			return "no models here", nil
		}
		return in.Models.Name(), nil
	}
	serve(run, nil, nil)
	// Output:
	// exit code 0
	// output.txt: "no models here"
}
