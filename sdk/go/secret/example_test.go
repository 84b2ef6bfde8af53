package secret_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
)

func ExampleValue_Unwrap() {
	token := secret.New("tok-123456")
	copied := token

	plain, err := token.Unwrap()
	fmt.Println(len(plain), err)

	_, err = copied.Unwrap()
	fmt.Println(errors.Is(err, secret.ErrLocked), copied.IsLocked())
	// Output:
	// 10 <nil>
	// true true
}

func ExampleValue_LogValue() {
	token := secret.New("tok-123456")
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	log.Info("uploading", "token", token)
	fmt.Printf("%v %#v\n", token, token)
	// Output:
	// level=INFO msg=uploading token=[redacted]
	// [redacted] secret.Value([redacted])
}

func ExampleEnvName() {
	fmt.Println(secret.EnvName("api_token"))
	fmt.Println(secret.EnvName("ibmToken"))
	// Output:
	// SECRET_API_TOKEN
	// SECRET_IBM_TOKEN
}
