package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

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
			if findStretch(text, s.shown) == "" {
				continue
			}
			seen[library]++
			if left := findStretch(masked[title], s.shown); left != "" {
				t.Errorf("%s leaves %s", title, left)
			}
		}
	}
	for _, name := range []string{"httpx_url", "aiohttp_get", "yarl_url", "requests_get", "urllib3_get", "botocore_sign", "sqlalchemy_url", "psycopg_connect", "rich_print", "rich_traceback", "loguru_exception", "structlog_event", "email_message", "yaml_dump", "standard_library"} {
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
				if left := findStretch(text, s.shown); left != "" {
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

// findStretch is where eight characters of a secret stand in a text, in it or in what
// it decodes to, or "".
func findStretch(text, secret string) string {
	const least = 8
	var stretches []string
	runes := []rune(secret)
	for i := 0; i+least <= len(runes); i++ {
		stretches = append(stretches, string(runes[i:i+least]))
	}
	done := map[string]bool{}
	todo := []string{text}
	for range 4 {
		var next []string
		for _, text := range todo {
			if done[text] {
				continue
			}
			done[text] = true
			for _, s := range stretches {
				if at := strings.Index(text, s); at >= 0 {
					return strconv.Quote(text[max(0, at-40):min(len(text), at+40)])
				}
			}
			next = append(next, decodings(text)...)
		}
		todo = next
	}
	return ""
}

var (
	percents  = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	quotables = regexp.MustCompile(`=[0-9A-Fa-f]{2}|=\r?\n`)
	escapes   = regexp.MustCompile(`\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.)`)
	digitRuns = regexp.MustCompile(`[A-Za-z0-9+/_-]{12,}`)
	hexPairs  = regexp.MustCompile(`([0-9a-f]{2}:?){8,}`)
	lineEnds  = regexp.MustCompile(`(\\r|\\n|['"|│\s,=]|\n)*\n(['"|│\s]|\\n)*`)
)

// decodings are what a text may decode to. They are written apart from the views.
func decodings(text string) []string {
	var all []string
	add := func(decoded string) {
		if decoded != text {
			all = append(all, decoded)
		}
	}
	add(html.UnescapeString(text))
	add(percents.ReplaceAllStringFunc(text, func(s string) string { return unhex(s[1:]) }))
	add(percents.ReplaceAllStringFunc(strings.ReplaceAll(text, "+", " "), func(s string) string { return unhex(s[1:]) }))
	add(quotables.ReplaceAllStringFunc(text, func(s string) string { return unhex(strings.TrimLeft(s, "=\r\n")) }))
	add(escapes.ReplaceAllStringFunc(text, func(s string) string {
		switch c := s[1:]; {
		case c[0] == 'x' && len(c) == 3:
			return unhex(c[1:])
		case c[0] == 'u' && len(c) == 5:
			r, _ := strconv.ParseUint(c[1:], 16, 32)
			return string(rune(r))
		case c == "n":
			return "\n"
		case c == "t":
			return "\t"
		default:
			return c
		}
	}))
	add(lineEnds.ReplaceAllString(text, ""))
	add(lineEnds.ReplaceAllString(text, " "))
	if !utf8.ValidString(text) {
		var latin strings.Builder
		for i := range len(text) {
			latin.WriteRune(rune(text[i]))
		}
		add(latin.String())
	}
	var digits strings.Builder
	for _, run := range digitRuns.FindAllString(text, -1) {
		run = strings.NewReplacer("-", "+", "_", "/").Replace(run)
		for shift := range 4 {
			if shift < len(run) {
				part := run[shift:]
				decoded, _ := base64.RawStdEncoding.DecodeString(part[:len(part)/4*4])
				digits.Write(append(decoded, '\n'))
			}
		}
	}
	for _, run := range hexPairs.FindAllString(text, -1) {
		digits.WriteString(unhex(strings.ReplaceAll(run, ":", "")) + "\n")
	}
	return append(all, digits.String())
}

func unhex(digits string) string {
	out, _ := hex.DecodeString(digits)
	return string(out)
}
