package redact

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// TestLinesShowAtOnce: a line of which nothing may go on in the next one is shown with
// its end, for the next one may never come.
func TestLinesShowAtOnce(t *testing.T) {
	const token, symbols, padded = "bK3xQ9ZmTr7WvL2sPd8Y", "hJ8=mP$2vL-7Qx", "tok-4f9a-W8z+qq7=="
	m := newMasker([]byte(token), []byte(symbols), []byte(padded))
	for _, line := range []string{
		"done", "100%", "a=b", "=", "x ==", "50%, 3%", "x &", "done.'", "base64==", `"quoted"`, `{"a": "c\n"}`, `"x\"y"`, "c=%20",
		"0x7f 0x80 0x81", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "", "b", "bK3", "hJ",
		"key: " + token, "key: " + symbols, "key: " + padded, "key='" + padded + "'", `"` + symbols + `"`, "?t=" + token + "&x=1", "https://user:" + token + "@host/?q=1",
	} {
		var out bytes.Buffer
		w := m.Writer(&out)
		for _, write := range []string{"a line before.\n", line, "\n", "holding\n"} {
			if _, err := w.Write([]byte(write)); err != nil {
				t.Fatal(err)
			}
			shown := out.String()
			out.Reset()
			if write != line && !strings.HasSuffix(shown, write) {
				t.Errorf("%q behind %q shows %q, want it all", write, line, shown)
			}
		}
	}
}

// TestLinesOfManySecrets: lines of words show at once also where there are so many
// secrets that something in them looks like the beginning of one.
func TestLinesOfManySecrets(t *testing.T) {
	words := []string{"done", "holding", "ok.", "x", "request 7 failed", "retry!", "value: 12"}
	for round := range uint64(100) {
		rng := rand.New(rand.NewPCG(round, 9))
		var values [][]byte
		for range 15 {
			values = append(values, []byte(drawnSecrets[rng.IntN(len(drawnSecrets))](rng)))
			raw := make([]byte, 96)
			for i := range raw {
				raw[i] = byte(rng.Uint32())
			}
			raw[0] = 0x30 // as in DER
			block := base64.StdEncoding.EncodeToString(raw)
			values = append(values, []byte("-----BEGIN PRIVATE KEY-----\n"+block[:64]+"\n"+block[64:]+"\n-----END PRIVATE KEY-----\n"))
		}
		m := newMasker(values...)
		var out bytes.Buffer
		w := m.Writer(&out)
		plain := 0
		for range 60 {
			line := words[rng.IntN(len(words))]
			if plain++; rng.IntN(8) == 0 {
				line = "key: " + string(redacttest.Compose(rng, 3).Encode(values[2*rng.IntN(15)]))
				plain = 0
			}
			out.Reset()
			if _, err := w.Write([]byte(line + "\n")); err != nil {
				t.Fatal(err)
			}
			if plain > 3 && !bytes.HasSuffix(out.Bytes(), []byte(line+"\n")) {
				t.Errorf("round %d: %q shows %q, want it all", round, line, out.Bytes())
			}
		}
	}
}
