// A service: the function run. The fields of Input say what it takes.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// InputData is what a caller sends as data.
type InputData struct {
	_ struct{} "description:\"What a caller sends as `data`.\""

	Message string `json:"message" description:"The text to sign."`
}

// Signed is what the caller gets back.
type Signed struct {
	_ struct{} `description:"What the caller gets back."`

	Message   string `json:"message"`
	Signature string `json:"signature"`
}

// Input has a field for each parameter of the service.
type Input struct {
	_ struct{} `description:"Signs a message with a secret key."`

	Data     InputData    `json:"data"`
	APIToken secret.Value `json:"api_token"` // from SECRET_API_TOKEN
}

func run(_ context.Context, in Input) (Signed, error) {
	fmt.Printf("signing %q with the key %s\n", in.Data.Message, in.APIToken) // the log shows [redacted]
	key, err := in.APIToken.Unwrap()                                         // can be done once
	if err != nil {
		return Signed{}, err
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(in.Data.Message))
	return Signed{Message: in.Data.Message, Signature: hex.EncodeToString(mac.Sum(nil))}, nil
}

func main() { service.Main(run) }
