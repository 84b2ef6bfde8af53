package redacttest

import (
	"encoding/base64"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
)

// Libraries are those that the Python program at [PrintersPath] prints secrets with, as
// arguments of pip install.
var Libraries = []string{
	"httpx==0.28.1", "aiohttp==3.13.2", "yarl==1.22.0", "requests==2.32.5", "urllib3==2.5.0", "boto3==1.41.5", "botocore==1.41.5",
	"SQLAlchemy==2.0.44", "psycopg[binary]==3.2.13", "rich==14.2.0", "loguru==0.7.3", "structlog==25.5.0", "PyYAML==6.0.3",
}

// PrintersPath is the program that has each library print each of a list of secrets. Its
// function print_all does it for one.
var PrintersPath = func() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "printers.py")
}()

// A PrintedSecret is one of a shape that programs use. Nothing may show a part of Shown.
type PrintedSecret struct{ Name, Value, Shown string }

// PrintedSecrets are secrets of all shapes.
func PrintedSecrets() []PrintedSecret {
	rng := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // the same each time
	block := base64.StdEncoding.EncodeToString([]byte(Token(rng, 200)))
	var pem strings.Builder
	pem.WriteString("-----BEGIN PRIVATE KEY-----\n")
	for at := 0; at < len(block); at += 64 {
		pem.WriteString(block[at:min(len(block), at+64)] + "\n")
	}
	pem.WriteString("-----END PRIVATE KEY-----\n")
	all := []PrintedSecret{
		{"symbols", "kJ8=mP$2vL-7Qx", ""},
		{"percent", "100%#sure-Pw/+x", ""},
		{"quotes", `q"uR'o\tZe&8s<t>-zR7xP`, ""},
		{"umlauts", "Pässwörd-für-Xq7", ""},
		{"spaces", "corvid hxrse bvttery stvple", ""},
		{"token", Token(rng, 200), ""},
		{"url", "postgresql://svc:hK9!vR2qW7zT@127.0.0.1:1/app", "hK9!vR2qW7zT"},
		{"pem", pem.String(), block},
	}
	for i := range all {
		if all[i].Shown == "" {
			all[i].Shown = all[i].Value
		}
	}
	return all
}

// Sections are the texts that the program has printed, by their titles: the name of the
// function, a space, and the name of the secret.
func Sections(text string) map[string]string {
	all := map[string]string{}
	for _, part := range strings.Split(text, "\n@@@ ") {
		title, body, _ := strings.Cut(part, "\n")
		all[title] += body
	}
	return all
}
