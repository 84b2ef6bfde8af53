package dotenv_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
			variables, odd, err := dotenv.Parse([]byte(c.text))
			if err != nil || len(odd) > 0 {
				t.Fatal(err, odd)
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

// TestOddLines leaves lines out that are no variables, and reads the rest.
func TestOddLines(t *testing.T) {
	t.Parallel()
	const canary = "s3cr3t-canary"
	for name, c := range map[string]struct {
		text  string
		lines []int
		rest  string
	}{
		"no equals":      {"A=1\n" + canary + "\nB=2\n", []int{2}, "A=1 B=2"},
		"bad names":      {"\n1" + canary + "=x\nmy-var=" + canary + "\nA.B=x\nC=3", []int{2, 3, 4}, "C=3"},
		"a colon":        {"KEY: " + canary + "\nA=1\n", []int{1}, "A=1"},
		"open quote":     {"A=1\nB=\"" + canary + "\nC=2\n", []int{2}, "A=1 C=2"},
		"text after":     {"A='x'" + canary + "\nB=2", []int{1}, "B=2"},
		"text after two": {"A='x\ny'" + canary + "\nB=2", []int{2}, "B=2"},
		"export nothing": {"export " + canary + "\nB=2\r\n", []int{1}, "B=2"},
		"a section":      {"[" + canary + "]\nB=2", []int{1}, "B=2"},
		"nothing else":   {canary, []int{1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), ".env")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			variables, odd, err := dotenv.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var lines []int
			for _, line := range odd {
				lines = append(lines, line.Line)
				if !strings.HasPrefix(line.Error(), path+":") || strings.Contains(line.Error(), canary) {
					t.Errorf("the report is %q, want one that names the file and no text of it", line)
				}
			}
			var rest []string
			for _, v := range variables {
				rest = append(rest, v.Name+"="+string(v.Value.Reveal()))
			}
			if !slices.Equal(lines, c.lines) || strings.Join(rest, " ") != c.rest {
				t.Errorf("lines %v are left out of %q, want %v of %q", lines, rest, c.lines, c.rest)
			}
		})
	}
}

// TestRefusedValues refuses values that no process can be given, by their names.
func TestRefusedValues(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"PLAIN=1\nSECRET_TOKEN=Pr\xfcfung\n": "line 2: the value of SECRET_TOKEN is not UTF-8 text",
		"# \xfc\nA=1\nB='x\n\xfc'\nC=1":      "line 3: the value of B is not UTF-8 text",
		"odd\nA=s3cr3t\x00":                  "line 2: the value of A ",
		"\xff\xfeA\x00=\x001\x00":            "line 1: the file ",
	} {
		variables, odd, err := dotenv.Parse([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") || variables != nil || odd != nil {
			t.Errorf("Parse(%q) = %v, %v, %v, want %q", text, variables, odd, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("A=1\nexport B='x'\nC=\"a\\n\nb\" # c\n"))
	f.Add([]byte("A=\"\\"))
	f.Fuzz(func(t *testing.T, text []byte) {
		variables, _, err := dotenv.Parse(text)
		if err != nil && variables != nil {
			t.Error("variables beside an error")
		}
		for _, v := range variables {
			if v.Name == "" || strings.ContainsAny(string(v.Value.Reveal()), "\x00") {
				t.Errorf("a variable has no name or a NUL in its value, want neither")
			}
		}
	})
}
