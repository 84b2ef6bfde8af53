package plaintext_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value string
		want  error
	}{
		"a token":               {"tok-4711-äöü-🔑", nil},
		"empty":                 {"", nil},
		"lines":                 {"a\r\n\tb\n", nil},
		"a mark":                {"\ufefftoken", nil},
		"U+FFFD":                {"a\ufffdb", nil},
		"largest":               {strings.Repeat("x", plaintext.MaxSize), nil},
		"Latin-1":               {"Pr\xfcfung-2024-x", plaintext.ErrNotUTF8},
		"cut":                   {"tok-\xc3", plaintext.ErrNotUTF8},
		"overlong":              {"tok-\xc0\xaf", plaintext.ErrNotUTF8},
		"half a surrogate pair": {"tok-\xed\xa0\x80", plaintext.ErrNotUTF8},
		"UTF-16":                {"\xff\xfet\x00o\x00", plaintext.ErrUTF16},
		"UTF-16, other order":   {"\xfe\xff\x00t\x00o", plaintext.ErrUTF16},
		"UTF-16, no mark":       {"t\x00o\x00", plaintext.ErrNUL},
		"NUL":                   {"a\x00", plaintext.ErrNUL},
		"too large":             {strings.Repeat("x", plaintext.MaxSize+1), plaintext.ErrTooLarge},
		"many lines":            {strings.Repeat("abcd\n", plaintext.MaxParts), nil},
		"short lines":           {strings.Repeat("abc\n", 2*plaintext.MaxParts), nil},
		"too many lines":        {strings.Repeat("abcd\r\n", plaintext.MaxParts+1), plaintext.ErrParts},
		"PEM":                   {strings.Repeat(strings.Repeat("x", 64)+"\n", plaintext.MaxSize/65), nil},
		"many strings":          {"[" + strings.Repeat(`"abcd",`, plaintext.MaxParts-1) + `"x"]`, nil},
		"too many strings":      {" [" + strings.Repeat(`"abcd",`, plaintext.MaxParts) + `"x"]`, plaintext.ErrParts},
		"JSON in JSON":          {`"[` + strings.Repeat(`\"abcd\",`, plaintext.MaxParts) + `1]"`, plaintext.ErrParts},
		"lines in JSON":         {`["` + strings.Repeat(`abcd\n`, plaintext.MaxParts+1) + `"]`, plaintext.ErrParts},
		"escaped quotes":        {`"[` + strings.Repeat(`\u0022abcd\u0022,`, plaintext.MaxParts) + `1]"`, plaintext.ErrParts},
		"quotes in a text":      {"x" + strings.Repeat(`"abcd",`, 2*plaintext.MaxParts), nil},
		"too large, of two":     {strings.Repeat("é", plaintext.MaxSize/2) + "x", plaintext.ErrTooLarge},
	} {
		if got := plaintext.Check([]byte(c.value)); !errors.Is(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("Check(%s) = %v, want %v", name, got, c.want)
		}
	}
}

func TestTrimBOM(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"\ufeffa": "a", "a\ufeff": "a\ufeff", "\ufeff\ufeffa": "\ufeffa", "": ""} {
		if got := string(plaintext.TrimBOM([]byte(in))); got != want {
			t.Errorf("TrimBOM(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWeak(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "is empty", " \n": "is empty",
		"true": "is shorter than 8 characters", "5432": "is shorter than 8 characters", "äöüäöüä": "is shorter than 8 characters",
		"  debug  ": "is shorter than 8 characters",
		"20240115":  "is a short number", "1706745600": "is a short number", "+49 30 1234": "is a short number", "10.0.0.12": "is a short number",
		"password": "is a common word", "Localhost": "is a common word", "PRODUCTION\n": "is a common word",
		"xxxxxxxxxx": "is one character, repeated",
		"tok-4711":   "", "hunter2-hunter2": "", "123456789012": "", "kJ8=mP$2": "", "Pässwört": "", "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7": "",
	} {
		if got := plaintext.Weak([]byte(value)); got != want {
			t.Errorf("Weak(%q) = %q, want %q", value, got, want)
		}
	}
}
