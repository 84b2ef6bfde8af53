package panics_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/panics"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-value"
	for want, fail := range map[string]func([]byte){
		"string":              func(b []byte) { panic(string(b)) },
		"*errors.errorString": func(b []byte) { panic(errors.New(string(b))) },
		"runtime error: index out of range [12] with length 12": func(b []byte) { b[cap(b[:len(b):len(b)])]++ },
	} {
		what, trace := describe(fail, []byte(secret))
		if what != want {
			t.Errorf("Describe() = %q, want %q", what, want)
		}
		if strings.Contains(what+trace, secret) || !strings.Contains(trace, "panics_test.TestDescribe") || strings.Contains(trace, "0x") {
			t.Errorf("%s: the trace is\n%s\nwant the test, no secret and no address", want, trace)
		}
	}
}

func describe(fail func([]byte), with []byte) (what, trace string) {
	defer func() { what, trace = panics.Describe(recover()) }()
	fail(with)
	return "", ""
}
