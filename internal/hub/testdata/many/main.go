// Command many is a service with ten secrets that may be left out.
package main

import (
	"context"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// Input has a field for each parameter of the service.
type Input struct {
	A *secret.Value `json:"secret_0"`
	B *secret.Value `json:"secret_1"`
	C *secret.Value `json:"secret_2"`
	D *secret.Value `json:"secret_3"`
	E *secret.Value `json:"secret_4"`
	F *secret.Value `json:"secret_5"`
	G *secret.Value `json:"secret_6"`
	H *secret.Value `json:"secret_7"`
	I *secret.Value `json:"secret_8"`
	J *secret.Value `json:"secret_9"`
}

func run(_ context.Context, in Input) (map[string]bool, error) {
	return map[string]bool{"first": in.A != nil, "last": in.J != nil}, nil
}

func main() { service.Main(run) }
