// Command many is a service with ten secrets that may be left out.
package main

import (
	"context"
	"strconv"
	"time"

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

// Output says which secrets came, and when run began, in nanoseconds since 1970.
type Output struct {
	First bool   `json:"first"`
	Last  bool   `json:"last"`
	Began string `json:"began"`
}

func run(_ context.Context, in Input) (Output, error) {
	began := strconv.FormatInt(time.Now().UnixNano(), 10)
	return Output{First: in.A != nil, Last: in.J != nil, Began: began}, nil
}

func main() { service.Main(run) }
