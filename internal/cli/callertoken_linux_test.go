package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTokenFiles refuses tokens that others can read, and masks those it takes.
func TestTokenFiles(t *testing.T) {
	t.Parallel()
	dir := workspaceDir(t)
	open := fileOf(t, "a-token-that-is-long-enough")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"serve", dir, "--port", "0", "--auth=@" + open}, {"executions", "list", "--token", "@" + open}, {"serve", dir, "--port", "0", "--python", sdkPython(t), "--master-key", "@" + open},
	} {
		out, errs, code := call(t, args...)
		if code == 0 || !strings.Contains(errs, "chmod 600 "+open) || strings.Contains(out+errs, "long-enough") {
			t.Errorf("%q = exit code %d: %s%s, want a refusal that names chmod 600", args, code, out, errs)
		}
	}
}

// echoProgram prints and returns a text that it puts together.
const echoProgram = `
import os


def run(backwards: str, name: str = "") -> dict:
    text = backwards[::-1]
    print("said", text, flush=True)
    return {"said": text, "variable": os.environ.get(name, "")[::-1]}
`

// TestTokensAreMasked has a service say the token of its server, wherever that
// came from.
func TestTokensAreMasked(t *testing.T) {
	const token = "tok-3b7c9d0e5f1a2b"
	for name, auth := range map[string]string{"file": "--auth=@", "variable": "--auth=env:LC_TEST_TOKEN", "made": "--auth"} {
		t.Run(name, func(t *testing.T) {
			dir, value := service(t, echoProgram), token
			put(t, filepath.Join(dir, ".env"), "QHUBCTL_TOKEN=tok-of-another-server\n")
			switch name {
			case "variable":
				t.Setenv("LC_TEST_TOKEN", token)
			case "file":
				auth += fileOf(t, token)
			}
			s := serve(t, dir, auth)
			if name == "made" {
				value = strings.TrimSpace(read(t, filepath.Join(dir, ".qhub", "serve", "token")))
			}
			t.Setenv("QHUBCTL_TOKEN", value)
			for _, said := range []string{value, "tok-of-another-server"} {
				for _, variable := range []string{"LC_TEST_TOKEN", "QHUBCTL_TOKEN"} {
					body := fmt.Sprintf(`{"backwards": %q, "name": %q}`, backwards(said), variable)
					out, errs, code := s.qhubctl("executions", "start", "-d", body, "--wait")
					if code != 0 || strings.Contains(out+errs, said) || !strings.Contains(out, "[redacted]") || !strings.Contains(out, `"variable":""`) {
						t.Errorf("exit code %d, the service said %s%s, want it masked and no variable %s", code, out, errs, variable)
					}
				}
			}
		})
	}
}
