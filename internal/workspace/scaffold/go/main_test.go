package main

import (
	"context"
	"testing"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
)

func sign(t *testing.T, message, key string) Signed {
	t.Helper()
	signed, err := run(context.Background(), Input{Data: InputData{Message: message}, APIToken: secret.New(key)})
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestSignsTheMessage(t *testing.T) {
	signed := sign(t, "hello", "not-a-real-token")
	if signed.Message != "hello" || len(signed.Signature) != 64 {
		t.Errorf("sign(hello) = %+v, want the message and a signature of 64 characters", signed)
	}
}

func TestAnotherKeySignsDifferently(t *testing.T) {
	if sign(t, "hello", "not-a-real-token") == sign(t, "hello", "another-token") {
		t.Error("two keys give one signature")
	}
}
