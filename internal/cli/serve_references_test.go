package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// referringProgram prints its secret, and returns its length.
const referringProgram = `from qhub.commons.secret import SecretValue

def run(token: SecretValue) -> int:
    value = token.unwrap()
    print("the token is", value)
    return len(value)
`

// TestServeResolvesReferences starts executions whose secret is a reference in .env, with
// the file that it names and without.
func TestServeResolvesReferences(t *testing.T) {
	t.Setenv("PATH", filepath.Dir(testenv.References(t))+string(filepath.ListSeparator)+os.Getenv("PATH"))
	dir := t.TempDir()
	for name, text := range map[string]string{
		"src/__init__.py": "", "src/program.py": referringProgram, ".env": "SECRET_TOKEN=ref+file://.keys/token\n", ".keys/token": "a-value-in-a-file\n",
		"pyproject.toml": "[tool.qhubctl]\nreferences = true\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, dir)
	out, said, code := s.qhubctl("executions", "start", "-d", "{}", "--wait")
	if code != 0 || strings.TrimSpace(out) != "17" || strings.Contains(out+said+s.said.String(), "a-value-in-a-file") {
		t.Errorf("an execution with a reference = %d %q\n%s\n%s, want the length 17, and no value", code, out, said, s.said)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("SECRET_TOKEN=ref+file://.keys/missing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s = serve(t, dir)
	out, said, code = s.qhubctl("executions", "start", "-d", "{}", "--wait")
	if code != 1 || !strings.Contains(out+said, "cannot resolve the reference ref+file://.keys/missing: there is no such file") {
		t.Errorf("an execution with a reference to nothing = %d %q\n%s, want the reference and the reason", code, out, said)
	}
}
