// Command teller is a service that says which secrets it has got, by their digests.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// Input has a field for each parameter of the service.
type Input struct {
	// Hold has it wait until it is cancelled.
	Hold     string        `json:"hold" default:""`
	Token    secret.Value  `json:"api_token"`
	Password secret.Value  `json:"db_password"`
	Extra    *secret.Value `json:"extra"`
}

func run(ctx context.Context, in Input) (map[string]string, error) {
	if in.Hold != "" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	digests := map[string]string{}
	for name, value := range map[string]*secret.Value{"api_token": &in.Token, "db_password": &in.Password, "extra": in.Extra} {
		if value == nil {
			continue
		}
		text, err := value.Unwrap()
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(os.Stderr, name, "is", string(text))
		sum := sha256.Sum256([]byte(text))
		digests[name] = hex.EncodeToString(sum[:])
	}
	return digests, nil
}

func main() { service.Main(run) }
