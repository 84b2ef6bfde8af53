// Command greeter is a service that tests deploy.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// word is set when the program is built.
var word = "hello"

// Input has a field for each parameter of the service.
type Input struct {
	Name string `json:"name" default:"nobody"`
	// Hold is a file whose appearance ends the execution.
	Hold string `json:"hold" default:""`
	// Call is an address that it asks with the token of the execution.
	Call  string        `json:"call" default:""`
	Token *secret.Value `json:"api_token"`
	// Start is an address at which it starts two executions in this one: with its token,
	// and with the secret.
	Start string `json:"start" default:""`
	// Show is a variable whose value it prints and returns.
	Show string `json:"show" default:""`
	// File is the name of a file that it writes as a part of its result.
	File string `json:"file" default:""`
}

func run(ctx context.Context, in Input) (map[string]string, error) {
	fmt.Println(word, in.Name)
	if in.Hold != "" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if in.Call != "" {
		return call(ctx, in.Call)
	}
	if in.Start != "" {
		return start(ctx, in)
	}
	if in.File != "" {
		if err := os.WriteFile(filepath.Join(os.Getenv("OUTPUT_DIRECTORY"), in.File), []byte(in.Name), 0o644); err != nil {
			return nil, err
		}
	}
	token := ""
	if in.Token != nil {
		value, err := in.Token.Unwrap()
		if err != nil {
			return nil, err
		}
		token = fmt.Sprint(len(value))
	}
	result := map[string]string{word: in.Name, "token": token, "mode": os.Getenv("MODE")}
	if in.Show != "" {
		fmt.Println("the variable is", os.Getenv(in.Show))
		result["shown"], result["length"] = os.Getenv(in.Show), fmt.Sprint(len(os.Getenv(in.Show)))
	}
	return result, nil
}

// call asks an address with the token of the execution, and without it.
func call(ctx context.Context, address string) (map[string]string, error) {
	token := os.Getenv("KQH_SERVICE_EXECUTION_TOKEN")
	fmt.Println("the token is", token)
	statuses := map[string]string{"token": token}
	for _, shown := range []string{token, ""} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return nil, err
		}
		r.Header.Set("X-Auth-Token", shown)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, err
		}
		_ = response.Body.Close()
		statuses[map[bool]string{true: "with", false: "without"}[shown != ""]] = response.Status
	}
	return statuses, nil
}

// start starts two executions.
func start(ctx context.Context, in Input) (map[string]string, error) {
	token := os.Getenv("KQH_SERVICE_EXECUTION_TOKEN")
	bearer, err := in.Token.Unwrap()
	if err != nil {
		return nil, err
	}
	statuses := map[string]string{}
	for name, header := range map[string][2]string{"own": {"X-Auth-Token", token}, "other": {"Authorization", string(bearer)}} {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, in.Start, strings.NewReader(`{"name":"`+name+`"}`))
		if err != nil {
			return nil, err
		}
		r.Header.Set(header[0], header[1])
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Parent-Execution-Token", token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, err
		}
		_ = response.Body.Close()
		statuses[name] = response.Status
	}
	return statuses, nil
}

func main() { service.Main(run) }
