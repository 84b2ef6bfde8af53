// Command greeter is a service that tests deploy.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// word is set when the program is built.
var word = "hello"

// Input has a field for each parameter of the service.
type Input struct {
	Name string `json:"name" default:"nobody"`
	// Hold is a file whose appearance ends the execution.
	Hold  string        `json:"hold" default:""`
	Token *secret.Value `json:"api_token"`
}

func run(ctx context.Context, in Input) (map[string]string, error) {
	fmt.Println(word, in.Name)
	if in.Hold != "" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	token := ""
	if in.Token != nil {
		value, err := in.Token.Unwrap()
		if err != nil {
			return nil, err
		}
		token = fmt.Sprint(len(value))
	}
	return map[string]string{word: in.Name, "token": token, "mode": os.Getenv("MODE")}, nil
}

func main() { service.Main(run) }
