package redact_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// TestShortened has what pydantic 2.5 and 2.14 print as the input_value of an
// error, without the quotes.
func TestShortened(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ value, want string }{
		{strings.Repeat("a", 49), strings.Repeat("a", 24) + "..." + strings.Repeat("a", 23)},
		{strings.Repeat("ä", 60), "ääääääääääää...äääääääääää"},
		{strings.Repeat("€", 40), "€€€€€€€€...€€€€€€€"},
		{strings.Repeat("🔑", 30), "🔑🔑🔑🔑🔑🔑...🔑🔑🔑🔑🔑"},
		{strings.Repeat("a'b\n", 20), `a'b\na'b\na'b\na'b\na'b\...b\na'b\na'b\na'b\na'b\n`},
		{strings.Repeat("a\"b'\n", 20), `a"b\'\na"b\'\na"b\'\na"b...\na"b\'\na"b\'\na"b\'\n`},
	} {
		if forms := redact.Forms([]byte(c.value)); !slices.ContainsFunc(forms, func(f []byte) bool { return string(f) == c.want }) {
			t.Errorf("%q has no form %q", c.value, c.want)
		}
	}
	for _, form := range redact.Forms([]byte(strings.Repeat("a", 40))) {
		if strings.Contains(string(form), "...") {
			t.Errorf("a value that is printed as a whole has the form %q", form)
		}
	}
}

// TestCutTokens cuts a long token at each length: fewer than eight bytes are left.
func TestCutTokens(t *testing.T) {
	t.Parallel()
	token := "sk_Yn2AqGfU89Q6W74OLrOlaZRD8BSLGIdOItV8TXpaKVSdkJZlIwh31Nwc1RJ42PwVHFV9"
	masker := redact.New([]redact.Secret{{Value: []byte(token)}})
	defer masker.Clear()
	for length := 16; length < len(token); length++ {
		for _, cut := range []string{token[:length], token[len(token)-length:]} {
			got := masker.String("token: '" + cut + "'... ok")
			if left := len(got) - len("token: '"+redact.Mask+"'... ok"); left < 0 || left >= 8 || !strings.Contains(got, redact.Mask) {
				t.Errorf("String(%d bytes of a token) = %q, want fewer than 8 bytes of it left", length, got)
			}
		}
	}
	for _, ordinary := range []string{"https://hooks.example.com/services/of/the/department", strings.Repeat("A", 80), "the-name-of-a-bucket-with-quite-a-few-words-in-it"} {
		masker := redact.New([]redact.Secret{{Value: []byte(ordinary + "?key=abc")}})
		if got := masker.String(ordinary[8:30]); got != ordinary[8:30] {
			t.Errorf("String(%q) = %q, want it unchanged", ordinary[8:30], got)
		}
		masker.Clear()
	}
}
