package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// printedLibraries are those that testdata/printers.py prints secrets with.
var printedLibraries = []string{
	"httpx==0.28.1", "aiohttp==3.13.2", "yarl==1.22.0", "requests==2.32.5", "urllib3==2.5.0", "boto3==1.41.5", "botocore==1.41.5",
	"SQLAlchemy==2.0.44", "psycopg[binary]==3.2.13", "rich==14.2.0", "loguru==0.7.3", "structlog==25.5.0", "PyYAML==6.0.3",
}

// A printedSecret is one of a shape that programs use. Of it, shown must not be left.
type printedSecret struct{ name, value, shown string }

func printedSecrets() []printedSecret {
	rng := rand.New(rand.NewPCG(7, 7))
	block := base64.StdEncoding.EncodeToString([]byte(redacttest.Token(rng, 200)))
	var pem strings.Builder
	pem.WriteString("-----BEGIN PRIVATE KEY-----\n")
	for at := 0; at < len(block); at += 64 {
		pem.WriteString(block[at:min(len(block), at+64)] + "\n")
	}
	pem.WriteString("-----END PRIVATE KEY-----\n")
	url := "postgresql://svc:hK9!vR2qW7zT@127.0.0.1:1/app"
	return []printedSecret{
		{"symbols", "kJ8=mP$2vL-7Qx", "kJ8=mP$2vL-7Qx"},
		{"percent", "100%#sure-Pw/+x", "100%#sure-Pw/+x"},
		{"quotes", `q"uR'o\tZe&8s<t>-zR7xP`, `q"uR'o\tZe&8s<t>-zR7xP`},
		{"umlauts", "Pässwörd-für-Xq7", "Pässwörd-für-Xq7"},
		{"spaces", "corvid hxrse bvttery stvple", "corvid hxrse bvttery stvple"},
		{"token", redacttest.Token(rng, 200), ""},
		{"url", url, "hK9!vR2qW7zT"},
		{"pem", pem.String(), block},
	}
}

// Nothing that a library logs, prints or raises shows a secret, nor eight characters
// of it that stand one behind the other, also not encoded.
func TestLibraries(t *testing.T) {
	venv, err := testenv.Venv("printers", printedLibraries...)
	if err != nil {
		t.Fatal(err)
	}
	secrets := printedSecrets()
	var input [][2]string
	var values [][]byte
	for i := range secrets {
		s := &secrets[i]
		if s.shown == "" {
			s.shown = s.value
		}
		input = append(input, [2]string{s.name, s.value})
		values = append(values, []byte(s.value))
	}
	given, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	program := exec.CommandContext(t.Context(), testenv.Program(venv, "python"), "-W", "ignore", "testdata/printers.py")
	program.Stdin = bytes.NewReader(given)
	output, err := program.Output()
	if err != nil {
		t.Fatalf("printers.py: %v", err)
	}
	m := newMasker(values...)
	masked := sections(string(m.Bytes(output)))
	seen := map[string]int{}
	for title, text := range sections(string(output)) {
		library, name, _ := strings.Cut(title, " ")
		for _, s := range secrets {
			if s.name != name {
				continue
			}
			if redacttest.FindStretch(text, s.shown) == "" {
				continue
			}
			seen[library]++
			if left := redacttest.FindStretch(masked[title], s.shown); left != "" {
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
		for title, text := range sections(string(maskInPieces(t, m, output, size))) {
			for _, s := range secrets {
				if !strings.HasSuffix(title, " "+s.name) || text == masked[title] {
					continue
				}
				if left := redacttest.FindStretch(text, s.shown); left != "" {
					t.Errorf("%s in pieces of %d leaves %s", title, size, left)
				}
			}
		}
	}
}

// sections are the texts behind their titles.
func sections(text string) map[string]string {
	all := map[string]string{}
	for _, part := range strings.Split(text, "\n@@@ ") {
		title, body, _ := strings.Cut(part, "\n")
		all[title] += body
	}
	return all
}
