package secret_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
)

func TestCheck(t *testing.T) {
	const size = 64 << 10
	for value, want := range map[string]string{
		"": "", "tok-äöü": "", "\ufefftoken": "", strings.Repeat("x", size): "",
		strings.Repeat("x", size+1): "is longer than 64 KiB", "Pr\xfcfung": "is not UTF-8 text", "\xed\xa0\x80": "is not UTF-8 text",
		"a\x00b": "holds a NUL character",
	} {
		got := ""
		if err := secret.Check(value); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("Check(%.20q) = %q, want %q", value, got, want)
		}
	}
	t.Setenv("SECRET_BYTES", "Pr\xfcfung")
	if v, ok := secret.FromEnv("bytes"); ok || !v.IsLocked() {
		t.Error("FromEnv gives a value that is not UTF-8")
	}
	if _, there := os.LookupEnv("SECRET_BYTES"); there {
		t.Error("FromEnv leaves a refused value in the environment")
	}
}

func BenchmarkUnwrap(b *testing.B) {
	for b.Loop() {
		_, _ = secret.New("tok-4711-value").Unwrap()
	}
}

func TestUnwrapOnce(t *testing.T) {
	v := secret.New("tok-123456")
	before := v
	if v.IsLocked() {
		t.Fatal("a new secret is locked")
	}
	if plain, err := v.Unwrap(); err != nil || plain != "tok-123456" {
		t.Fatalf("Unwrap() = another text or %v, want the text", err)
	}
	after := v
	for _, copied := range []secret.Value{v, before, after} {
		if plain, err := copied.Unwrap(); !errors.Is(err, secret.ErrLocked) || plain != "" {
			t.Errorf("a second Unwrap() = %d bytes, %v, want ErrLocked", len(plain), err)
		}
		if !copied.IsLocked() {
			t.Error("a copy is not locked")
		}
	}
}

func TestZeroValue(t *testing.T) {
	var v secret.Value
	if !v.IsLocked() {
		t.Error("the zero Value is not locked")
	}
	if plain, err := v.Unwrap(); !errors.Is(err, secret.ErrLocked) || plain != "" {
		t.Errorf("Unwrap(zero Value) = %q, %v, want ErrLocked", plain, err)
	}
	if got := v.String(); got != "[redacted]" {
		t.Errorf("String(zero Value) = %q, want the mask", got)
	}
}

func TestEmptySecret(t *testing.T) {
	v := secret.New("")
	if v.IsLocked() {
		t.Error("an empty secret is locked")
	}
	if plain, err := v.Unwrap(); err != nil || plain != "" {
		t.Errorf("Unwrap(empty secret) = %q, %v, want an empty text", plain, err)
	}
	if !v.IsLocked() {
		t.Error("an empty secret is not locked after Unwrap")
	}
}

func TestNewCopiesBytes(t *testing.T) {
	plain := []byte("tok-123456")
	v := secret.New(plain)
	clear(plain)
	if got, err := v.Unwrap(); err != nil || got != "tok-123456" {
		t.Error("clearing the caller's bytes changed the secret")
	}
}

func TestConcurrentUnwrap(t *testing.T) {
	for range 50 {
		v := secret.New("tok-123456")
		var winners, losers atomic.Int32
		var group sync.WaitGroup
		begin := make(chan struct{})
		for range 32 {
			copied := v
			group.Go(func() {
				<-begin
				switch plain, err := copied.Unwrap(); {
				case err == nil && plain == "tok-123456":
					winners.Add(1)
				case errors.Is(err, secret.ErrLocked) && plain == "":
					losers.Add(1)
				}
			})
		}
		close(begin)
		group.Wait()
		if winners.Load() != 1 || losers.Load() != 31 {
			t.Fatalf("%d callers unwrapped it and %d were refused, want 1 and 31", winners.Load(), losers.Load())
		}
	}
}

func TestEnvName(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("../../../conformance/env_names.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Parameter, Env string }
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("the file has %d cases (%v), want some", len(cases), err)
	}
	for _, c := range cases {
		if got := secret.EnvName(c.Parameter); got != c.Env {
			t.Errorf("EnvName(%q) = %q, want %q", c.Parameter, got, c.Env)
		}
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv("SECRET_IBM_TOKEN", "tok-123456")
	t.Setenv("SECRET_OTHER", "stays")
	v, ok := secret.FromEnv("ibmToken")
	if !ok || v.IsLocked() {
		t.Fatal("the secret was not found")
	}
	if _, there := os.LookupEnv("SECRET_IBM_TOKEN"); there {
		t.Error("the variable is still in the environment")
	}
	if os.Getenv("SECRET_OTHER") != "stays" {
		t.Error("a variable that was not asked for is gone")
	}
	if plain, err := v.Unwrap(); err != nil || plain != "tok-123456" {
		t.Error("the secret has the wrong text")
	}
	if v, ok := secret.FromEnv("ibmToken"); ok || !v.IsLocked() {
		t.Error("a secret was found that is not there")
	}
}
