package redacttest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"strings"
)

// Encoded are texts that are all, or to a fifth, encoded: logs unchanged,
// with a fifth of JSON, URLs and base64, and all escapes or base64.
func Encoded(size int) []Workload {
	rng := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // none of it is a secret, and all runs have to be alike
	ten := Tokens(rng, 10, 20)
	many := Tokens(rng, 200, 20)
	var loads []Workload
	for _, text := range []Workload{
		{Name: "plain", Text: prose(rng, size)},
		{Name: "a fifth encoded", Text: fifth(rng, size)},
		{Name: "JSON in JSON", Text: quotedJSON(Log(rng, size, nil, 0))},
		{Name: "percent-encoded", Text: []byte(url.QueryEscape(string(Log(rng, size, nil, 0))))},
		{Name: "base64 of text", Text: []byte(base64.StdEncoding.EncodeToString(Log(rng, size, nil, 0)))},
		{Name: "base64 in lines", Text: wrapped(base64.StdEncoding.EncodeToString(Log(rng, size, nil, 0)), 76)},
	} {
		text.Text, text.Piece = text.Text[:min(size, len(text.Text))], 4096
		text.Secrets = ten
		loads = append(loads, text)
		text.Name, text.Secrets = text.Name+", 200 secrets", many
		loads = append(loads, text)
	}
	return loads
}

// prose makes lines of words with a time before them.
func prose(rng *rand.Rand, size int) []byte {
	var text bytes.Buffer
	for text.Len() < size {
		text.WriteString("2026-03-01 12:00:00 INFO")
		for range 8 + rng.IntN(8) {
			text.WriteString(" " + words[rng.IntN(len(words))])
		}
		text.WriteByte('\n')
	}
	return text.Bytes()
}

// fifth makes prose of which each fifth line is encoded.
func fifth(rng *rand.Rand, size int) []byte {
	var text bytes.Buffer
	for line := 0; text.Len() < size; line++ {
		words := prose(rng, 100)
		switch line % 15 {
		case 0:
			text.Write(quotedJSON([]byte(`{"level":"info","msg":"` + strings.TrimSpace(string(words)) + `"}`)))
		case 5:
			text.WriteString("GET https://host.example/path?q=" + url.QueryEscape(strings.TrimSpace(string(words))) + "&limit=10")
		case 10:
			text.WriteString("body " + base64.StdEncoding.EncodeToString(words))
		default:
			text.Write(bytes.TrimSpace(words))
		}
		text.WriteByte('\n')
	}
	return text.Bytes()
}

func quotedJSON(text []byte) []byte {
	quoted, _ := json.Marshal(string(text)) // a string cannot fail
	return quoted
}

func wrapped(text string, width int) []byte {
	var lines bytes.Buffer
	for ; len(text) > width; text = text[width:] {
		lines.WriteString(text[:width] + "\n")
	}
	lines.WriteString(text + "\n")
	return lines.Bytes()
}

// Hostile are texts made to be slow to decode.
func Hostile(size int) []Workload {
	rng := rand.New(rand.NewPCG(7, 8)) //nolint:gosec // see Encoded
	secrets := Tokens(rng, 10, 20)
	random := make([]byte, size)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	mixed := make([]byte, size)
	for i := range mixed {
		mixed[i] = "%\\&=\n41amp;x#u0 "[rng.IntN(16)]
	}
	repeat := func(unit string) []byte { return repeated(size, func() string { return unit }) }
	loads := []Workload{
		{Name: "backslashes", Text: repeat(`\`)},
		{Name: "percent of percent", Text: repeat("%25")},
		{Name: "ampersands", Text: repeat("&amp;")},
		{Name: "quoted-printable", Text: repeat("=3D")},
		{Name: "escaped backslashes", Text: repeat(`\u005c`)},
		{Name: "all kinds mixed", Text: mixed},
		{Name: "random bytes", Text: random},
		{Name: "base64 of random bytes", Text: []byte(base64.StdEncoding.EncodeToString(random))},
		{Name: "hexadecimal of text", Text: []byte(hex.EncodeToString(prose(rng, size)))},
		{Name: "pairs", Text: repeat("61 62 63 64 65 66\n")},
		{Name: "one digit", Text: repeat("A")},
		{Name: "line ends", Text: repeat("\n")},
		{Name: "quotes", Text: repeat("'abc'\n'def'\n")},
		{Name: "NULs", Text: repeat("a\x00b\x00\n\x00")},
	}
	for i := range loads {
		loads[i].Text, loads[i].Secrets, loads[i].Piece = loads[i].Text[:size], secrets, 4096
	}
	return loads
}
