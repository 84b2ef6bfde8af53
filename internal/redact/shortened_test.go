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
