package secretref_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
)

const canary = "canary-4711-value"

func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func noPrompt(string) (plaintext.Bytes, error) { return plaintext.Bytes{}, errors.New("no terminal") }

// A value on a command line is refused, and never repeated.
func TestLiteralsAreRefused(t *testing.T) {
	for _, argument := range []string{
		"token=" + canary, "token=@", "token=env:", "token=", "=" + canary, "token==" + canary, "token= " + canary, "token=-" + canary, "token=ENV:" + canary,
	} {
		_, err := secretref.ParseRef(argument)
		if err == nil {
			t.Errorf("ParseRef(%q) = nil, want an error", argument)
			continue
		}
		text := err.Error()
		if hinted, ok := err.(interface{ Hint() string }); ok {
			text += hinted.Hint()
		}
		if strings.Contains(text, "canary") {
			t.Errorf("the error of ParseRef(%q) is %s, want no part of the value in it", argument, text)
		}
		if text += fmt.Sprintf("%+v %#v", err, err); strings.Contains(text, "canary") {
			t.Errorf("the error of ParseRef(%q) prints as %s, want no part of the value in it", argument, text)
		}
	}
}

func TestSources(t *testing.T) {
	t.Setenv("QHUBCTL_TEST_TOKEN", "from a variable\n")
	t.Setenv("QHUBCTL_TEST_EMPTY", "")
	for _, test := range []struct {
		argument, input, want string
	}{
		{"token=@" + write(t, "one line\n"), "", "one line"},
		{"token=@" + write(t, "windows\r\n"), "", "windows"},
		{"token=@" + write(t, "two\nlines\n\n"), "", "two\nlines\n"},
		{"token=@" + write(t, "no end"), "", "no end"},
		{"token=@" + write(t, ""), "", ""},
		{"token=@" + write(t, strings.Repeat("x", plaintext.MaxSize)), "", strings.Repeat("x", plaintext.MaxSize)},
		{"token=@" + write(t, "\ufeff"+strings.Repeat("x", plaintext.MaxSize)+"\r\n"), "", strings.Repeat("x", plaintext.MaxSize)},
		{"token=@" + write(t, "\ufeffmarked\r\n"), "", "marked"},
		{"token=@" + write(t, "\ufeff\n"), "", ""},
		{"token=-", "from input\n", "from input"},
		{"token=-", "\ufeffno file\n", "\ufeffno file"},
		{"token=env:QHUBCTL_TEST_TOKEN", "", "from a variable\n"}, // unchanged: no editor adds a line end to a variable
		{"token=env:QHUBCTL_TEST_EMPTY", "", ""},
		{"token", "", "asked for token"},
	} {
		source, err := secretref.ParseRef(test.argument)
		if err != nil || source.Name != "token" {
			t.Errorf("ParseRef(%s) = %+v, %v, want the name token", test.argument, source, err)
			continue
		}
		if source.ReadsInput() != (test.argument == "token=-") {
			t.Errorf("ParseRef(%s).ReadsInput() = %t, want the opposite", test.argument, source.ReadsInput())
		}
		got, err := source.Value(strings.NewReader(test.input), func(name string) (plaintext.Bytes, error) {
			return plaintext.FromString("asked for " + name), nil
		})
		if err != nil || string(got.Reveal()) != test.want {
			t.Errorf("%s: %.40q, %v; want %.40q", test.argument, got.Reveal(), err, test.want)
		}
	}
}

func TestSourcesThatFail(t *testing.T) {
	long := canary + strings.Repeat("x", plaintext.MaxSize)
	for _, c := range []struct{ value, want string }{
		{canary + "\x00", "holds a NUL character"},
		{canary + "\xfc", "is not UTF-8 text"},
		{canary + "\xed\xa0\x80", "is not UTF-8 text"},
		{"\xff\xfe" + canary, "is UTF-16 text"},
		{long, "is longer than 64 KiB"},
		{long[:plaintext.MaxSize+1], "is longer than 64 KiB"},
	} {
		file := write(t, c.value)
		places := map[string]string{"token=@" + file: "the file " + file, "token=-": "standard input", "token": "the terminal"}
		if !strings.Contains(c.value, "\x00") {
			t.Setenv("QHUBCTL_TEST_TOKEN", c.value)
			places["token=env:QHUBCTL_TEST_TOKEN"] = "the environment variable QHUBCTL_TEST_TOKEN"
		}
		for argument, place := range places {
			source, err := secretref.ParseRef(argument)
			if err != nil {
				t.Fatal(err)
			}
			got, err := source.Value(strings.NewReader(c.value), func(string) (plaintext.Bytes, error) { return plaintext.FromString(c.value), nil })
			if want := "the secret token from " + place + " " + c.want; err == nil || !strings.HasPrefix(err.Error(), want) ||
				strings.Contains(err.Error(), "canary") || got.Len() > 0 {
				t.Errorf("Value(%s) = %d bytes, %v, want %q", argument, got.Len(), err, want)
			}
		}
	}
	for argument, want := range map[string]string{
		"token=@/nowhere/file":           "/nowhere/file",
		"token=@" + t.TempDir():          "directory",
		"token=env:QHUBCTL_TEST_NOT_SET": "QHUBCTL_TEST_NOT_SET is not set",
		"token":                          "no terminal",
	} {
		source, err := secretref.ParseRef(argument)
		if err != nil {
			t.Fatal(err)
		}
		got, err := source.Value(strings.NewReader(""), noPrompt)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") || len(got.Reveal()) > 0 {
			t.Errorf("%.60s: %v, %d bytes; want %q", argument, err, got.Len(), want)
		}
	}
	source, err := secretref.ParseRef("token=-")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.Value(io.MultiReader(strings.NewReader(canary), failing{}), noPrompt); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("Value(input that breaks off) = %v, want an error without the value", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

// The caller of Find checks the value, because only declared secrets matter.
func TestFoundIsChecked(t *testing.T) {
	t.Setenv("SECRET_BYTES", canary+"\xfc")
	t.Setenv("SECRET_LONG", canary+strings.Repeat("x", plaintext.MaxSize))
	t.Setenv("SECRET_EMPTY", "")
	own := write(t, "SECRET_FILE="+strings.Repeat("x", plaintext.MaxSize+1)+"\n")
	files, err := secretref.ReadFiles("", own)
	if err != nil {
		t.Fatal(err)
	}
	finder := secretref.NewFinder(nil, files)
	for variable, want := range map[string]string{
		"SECRET_BYTES": "the secret p from the environment is not UTF-8 text",
		"SECRET_LONG":  "the secret p from the environment is longer than 64 KiB",
		"SECRET_FILE":  "the secret p from " + own + " is longer than 64 KiB",
		"SECRET_EMPTY": "",
	} {
		found, ok := finder.Find(signature.Parameter{Name: "p", Env: variable})
		got := ""
		if err := found.Check("p"); err != nil {
			got = err.Error()
		}
		if !ok || !strings.HasPrefix(got, want) || (want == "") != (got == "") || strings.Contains(got, "canary") {
			t.Errorf("Check(%s) = %q, %t, want %q", variable, got, ok, want)
		}
	}
	for _, value := range finder.AllValues() {
		if value.Value.Len() > plaintext.MaxSize {
			t.Errorf("AllValues() has %s, want no value that is too long for a secret", value.Name)
		}
	}
}

func TestExecutionTokenIsASecretThatServicesSee(t *testing.T) {
	own := write(t, signature.ExecutionToken+"=token-of-execution\nSECRET_A=declared-secret\nPLAIN=x\n")
	files, err := secretref.ReadFiles("", own)
	if err != nil {
		t.Fatal(err)
	}
	plain := files.Plain()
	if len(plain) != 2 || plain[signature.ExecutionToken] != "token-of-execution" || plain["PLAIN"] != "x" {
		t.Errorf("Plain() has %d variables, want the execution token and PLAIN", len(plain))
	}
	t.Setenv(signature.ExecutionToken, "token-of-shell")
	var names []string
	for _, value := range secretref.NewFinder(nil, files).AllValues() {
		if value.Name == signature.ExecutionToken {
			names = append(names, string(value.Value.Reveal()))
		}
	}
	if !slices.Equal(names, []string{"token-of-shell", "token-of-execution"}) {
		t.Errorf("AllValues() has %d values of the execution token, want those of the shell and the file", len(names))
	}
}

// The places are looked at in order, and within a file the last line counts.
func TestOrder(t *testing.T) {
	given := map[string]secretref.Found{"flag": {Value: plaintext.FromString("from flag"), From: "--secret"}}
	one := write(t, "SECRET_FLAG=x\nSECRET_VAR=x\nSECRET_ONE=first\nSECRET_ONE=from one\nPLAIN=one\n")
	two := write(t, "SECRET_FLAG=x\nSECRET_VAR=x\nSECRET_ONE=x\nSECRET_TWO=from two\nPLAIN=two\nOTHER=two\n")
	t.Setenv("SECRET_FLAG", "x")
	t.Setenv("SECRET_VAR", "from variable")
	files, err := secretref.ReadFiles(one, two)
	if err != nil {
		t.Fatal(err)
	}
	finder := secretref.NewFinder(given, files)
	for name, want := range map[string][2]string{
		"flag": {"from flag", "--secret"}, "var": {"from variable", "the environment"}, "one": {"from one", one}, "two": {"from two", two},
	} {
		found, ok := finder.Find(parameter(name))
		if !ok || string(found.Value.Reveal()) != want[0] || found.From != want[1] {
			t.Errorf("%s: %q from %q, %t; want %q", name, found.Value.Reveal(), found.From, ok, want)
		}
	}
	if _, ok := finder.Find(parameter("none")); ok {
		t.Error("a secret was found that nothing gives")
	}
	if plain := files.Plain(); len(plain) != 2 || plain["PLAIN"] != "one" || plain["OTHER"] != "two" {
		t.Errorf("Plain() = %v, want PLAIN and OTHER", plain)
	}
	// Every possible secret is masked, declared or not, and also where another place wins.
	var all []string
	for _, value := range finder.AllValues() {
		all = append(all, string(value.Value.Reveal()))
	}
	for _, want := range []string{"from flag", "x", "from variable", "first", "from one", "from two"} {
		if !slices.Contains(all, want) {
			t.Errorf("AllValues() = %q, want %q among them", all, want)
		}
	}
}

func parameter(name string) signature.Parameter {
	return signature.Parameter{Name: name, Kind: signature.Secret, Required: true, Env: "SECRET_" + strings.ToUpper(name)}
}

func TestFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), ".env")
	if _, err := secretref.ReadFiles("", missing); err != nil {
		t.Errorf("ReadFiles(no file given, no file in the workspace) = %v, want nil", err)
	}
	if _, err := secretref.ReadFiles(missing, missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadFiles(a missing file) = %v, want os.ErrNotExist", err)
	}
	broken := write(t, "A=1\n"+canary+"\n")
	files, err := secretref.ReadFiles("", broken)
	if err != nil {
		t.Fatal(err)
	}
	if odd := files.Odd(); len(odd) != 1 || !strings.Contains(odd[0].Error(), broken+":2: ") || strings.Contains(odd[0].Error(), "canary") || files.Plain()["A"] != "1" {
		t.Errorf("Odd = %v of %v, want line 2 without its text", odd, files.Plain())
	}
}

func TestMissing(t *testing.T) {
	err := &secretref.MissingError{Parameters: []signature.Parameter{parameter("one")}}
	if want := "the service needs a secret that nothing gives:\none (environment variable SECRET_ONE)"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	err.Parameters = append(err.Parameters, parameter("two"))
	if text := err.Error(); !strings.HasPrefix(text, "the service needs secrets") || !strings.HasSuffix(text, "\ntwo (environment variable SECRET_TWO)") {
		t.Errorf("the error of two missing secrets is %q, want the plural and both variables", text)
	}
	for _, way := range []string{"export SECRET_ONE=", ".env", "--secret one ", "--secret one=@FILE"} {
		if !strings.Contains(err.Hint(), way) {
			t.Errorf("the hint is\n%s\nwant %q in it", err.Hint(), way)
		}
	}
}

// TestNothingPrints checks that printing a value that holds a secret shows none.
func TestNothingPrints(t *testing.T) {
	files, err := secretref.ReadFiles("", write(t, "SECRET_A="+canary+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	found := secretref.Found{Value: plaintext.FromString(canary), From: "x"}
	finder := secretref.NewFinder(map[string]secretref.Found{"a": found}, files)
	text := fmt.Sprintf("%v %+v %#v %v %+v %#v %v", found, found, found, finder, finder, *finder, finder.AllValues())
	for _, form := range redact.Forms([]byte(canary)) {
		if strings.Contains(text, string(form)) {
			t.Errorf("the secret is printed as %s, want none of its forms", form)
		}
	}
}
