package redact

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// Nothing that a library logs, prints or raises shows a secret, nor eight characters
// of it that stand one behind the other, also not encoded.
func TestLibraries(t *testing.T) {
	venv, err := testenv.Venv("printers", redacttest.Libraries...)
	if err != nil {
		t.Fatal(err)
	}
	secrets := redacttest.PrintedSecrets()
	var input [][2]string
	var values [][]byte
	for _, s := range secrets {
		input = append(input, [2]string{s.Name, s.Value})
		values = append(values, []byte(s.Value))
	}
	given, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	program := exec.CommandContext(t.Context(), testenv.Program(venv, "python"), "-W", "ignore", redacttest.PrintersPath)
	program.Stdin = bytes.NewReader(given)
	output, err := program.Output()
	if err != nil {
		t.Fatalf("printers.py: %v", err)
	}
	m := newMasker(values...)
	masked := redacttest.Sections(string(m.Bytes(output)))
	seen := map[string]int{}
	for title, text := range redacttest.Sections(string(output)) {
		library, name, _ := strings.Cut(title, " ")
		for _, s := range secrets {
			if s.Name != name {
				continue
			}
			if redacttest.FindStretch(text, s.Shown) == "" {
				continue
			}
			seen[library]++
			if left := redacttest.FindStretch(masked[title], s.Shown); left != "" {
				t.Errorf("%s leaves %s", title, left)
			}
		}
	}
	for _, name := range []string{"httpx_url", "aiohttp_get", "yarl_url", "requests_get", "urllib3_get", "botocore_sign", "sqlalchemy_url", "psycopg_connect", "rich_print", "rich_traceback", "loguru_exception", "structlog_event", "structlog_traceback", "email_message", "yaml_dump", "standard_library", "charsets"} {
		if seen[name] < len(secrets)/2 {
			t.Errorf("%s shows %d of %d secrets without the masker", name, seen[name], len(secrets))
		}
	}
	for _, size := range []int{1, 37, 300, 5000} {
		for title, text := range redacttest.Sections(string(maskInPieces(t, m, output, size))) {
			for _, s := range secrets {
				if !strings.HasSuffix(title, " "+s.Name) || text == masked[title] {
					continue
				}
				if left := redacttest.FindStretch(text, s.Shown); left != "" {
					t.Errorf("%s in pieces of %d leaves %s", title, size, left)
				}
			}
		}
	}
}
