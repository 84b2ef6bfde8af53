package dotenv_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/dotenv"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []string // NAME=value
	}{
		"plain":                 {"A=1\nB=two\n", []string{"A=1", "B=two"}},
		"no line end":           {"A=1", []string{"A=1"}},
		"dollar is literal":     {"A=p$ss${WORD}$(id)`id`\n", []string{"A=p$ss${WORD}$(id)`id`"}},
		"quoted dollar too":     {`A="p$ss"`, []string{"A=p$ss"}},
		"empty":                 {"A=\nB=''\nC=\"\"", []string{"A=", "B=", "C="}},
		"comments":              {"# one\n\n  # two\nA=1 # three\nB=a#b\nC= # only a comment", []string{"A=1", "B=a#b", "C="}},
		"export":                {"export A=1\nexport=2", []string{"A=1", "export=2"}},
		"equals in value":       {"A=b=c==", []string{"A=b=c=="}},
		"space around":          {"  A = x y  \t\n", []string{"A=x y"}},
		"carriage returns":      {"A=1\r\nB=\"x\r\ny\"\r\n", []string{"A=1", "B=x\ny"}},
		"byte order mark":       {"\xef\xbb\xbfA=1", []string{"A=1"}},
		"single quotes":         {`A='a\n"b" #c'`, []string{`A=a\n"b" #c`}},
		"double quotes":         {`A="a\n\t\"b\" \\ \d #c" # d`, []string{"A=a\n\t\"b\" \\ \\d #c"}},
		"many lines":            {"A=\"-----BEGIN\nabc=\n-----END\"\nB=1", []string{"A=-----BEGIN\nabc=\n-----END", "B=1"}},
		"quotes inside":         {`A=it's`, []string{"A=it's"}},
		"set twice":             {"A=1\nA=2", []string{"A=1", "A=2"}},
		"unicode":               {"A=schlüssel", []string{"A=schlüssel"}},
		"backslash at the end ": {`A=C:\`, []string{`A=C:\`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			variables, err := dotenv.Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range variables {
				got = append(got, v.Name+"="+string(v.Value.Reveal()))
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestBrokenFileNamesTheLineAndNotTheText(t *testing.T) {
	t.Parallel()
	const canary = "s3cr3t-canary"
	for name, c := range map[string]struct {
		text string
		line int
	}{
		"no equals":      {"A=1\n" + canary + "\n", 2},
		"bad name":       {"\n1" + canary + "=x\n", 2},
		"open quote":     {"A=1\nB=\"" + canary + "\nC=2\n", 2},
		"text after":     {"A='x'" + canary, 1},
		"NUL":            {"A=" + canary + "\x00", 1},
		"not UTF-8":      {"A=" + canary + "\xff", 1},
		"Latin-1":        {"# \xfc\nA=1\nB='" + canary + "\n\xfc'\nC=1", 3},
		"UTF-16":         {"\xff\xfeA\x00=\x001\x00", 1},
		"export nothing": {"export " + canary, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), ".env")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := dotenv.ReadFile(path)
			broken, ok := errors.AsType[*dotenv.Error](err)
			if !ok || broken.Line != c.line || !strings.HasPrefix(err.Error(), path+":") {
				t.Fatalf("got %v, want line %d", err, c.line)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the text is repeated: %v", err)
			}
		})
	}
}

func TestRefusedValueIsNamed(t *testing.T) {
	t.Parallel()
	_, err := dotenv.Parse([]byte("PLAIN=1\nSECRET_TOKEN=Pr\xfcfung\n"))
	if want := "line 2: the value of SECRET_TOKEN is not UTF-8 text"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Parse(Latin-1) = %v, want %q", err, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("A=1\nexport B='x'\nC=\"a\\n\nb\" # c\n"))
	f.Add([]byte("A=\"\\"))
	f.Fuzz(func(t *testing.T, text []byte) {
		variables, err := dotenv.Parse(text)
		if err != nil && variables != nil {
			t.Error("variables beside an error")
		}
		for _, v := range variables {
			if v.Name == "" || strings.ContainsAny(string(v.Value.Reveal()), "\x00") {
				t.Errorf("a variable that no process can have")
			}
		}
	})
}
