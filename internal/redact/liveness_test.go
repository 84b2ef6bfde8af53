package redact

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
)

// TestLiveLines has a service print ordinary lines, while it has 60 secrets of all shapes:
// each line shows at once with its end. The reader of a live log waits for it otherwise,
// perhaps for hours. Only where an escape is near, or a hash, the next line may decide.
func TestLiveLines(t *testing.T) {
	t.Parallel()
	lines := []string{
		"holding", "done", "killed_files_long: done", "ok", "x", "7", "a b", "|", "a.", "{", "  }", "(1/3)", "#", "ok:", "a;", "foo,", `"a",`,
		"the end.", "loading...", "retry in 3s", "-----", "------------------------", "name: x", `{"level": "info", "n": 17}`, "└── src", "^C",
		"listening on 127.0.0.1:8080", "Traceback (most recent call last):", `  File "main.py", line 3, in run`,
		"=====", "100%", "50% of 3 files", "a=b", "- a", "C:\\", "https://example.com/?q=a%20b&n=1", "d41d8cd98f00b204e9800998ecf8427e",
		"2026-11-30T04:02:31 INFO request method=GET route=/{id} status=404",
	}
	var plain, held, others, heldOthers int
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 33))
		var out bytes.Buffer
		w := New(canaries(seed, 6)).Writer(&out)
		near := 0 // lines since one with an escape or a hash
		for range 60 {
			line := lines[rng.IntN(len(lines))]
			if near++; strings.ContainsAny(line, `%=&\`) || len(line) == 32 {
				near = 0
			}
			out.Reset()
			if _, err := w.Write([]byte(line + "\n")); err != nil {
				t.Fatal(err)
			}
			shown := bytes.HasSuffix(out.Bytes(), []byte(line+"\n"))
			if near == 0 {
				if others++; !shown {
					heldOthers++
				}
			} else if plain++; !shown && near > 1 {
				held++
				t.Logf("seed %d: %q shows %q, want all of it", seed, line, out.Bytes())
			}
		}
	}
	if held > plain/2000 {
		t.Errorf("%d of %d ordinary lines were held, want 1 of 2,000 at most", held, plain)
	}
	if heldOthers > others/10 {
		t.Errorf("%d of %d lines with escapes were held, want a tenth at most", heldOthers, others)
	}
	t.Logf("held: %d of %d ordinary lines, %d of %d with escapes", held, plain, heldOthers, others)
}

// canaries are secrets of all shapes, so many of each.
func canaries(seed uint64, of int) []Secret {
	source := leak.NewSource(seed)
	var secrets []Secret
	for range of {
		for _, c := range source.Canaries("") {
			secrets = append(secrets, Secret{Value: []byte(c.Value)})
		}
	}
	return secrets
}
