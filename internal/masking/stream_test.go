package masking

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// streamed masks a document by parts of these sizes.
func streamed(t rapid.TB, dir string, masker *redact.Masker, doc string, by sizes) (string, int) {
	t.Helper()
	dst, err := os.Create(filepath.Join(dir, "masked"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dst.Close() }()
	numbers, err := stream(masker, dst, strings.NewReader(doc), by)
	if err != nil {
		t.Fatalf("Stream(%.200s) = %v", doc, err)
	}
	got, err := os.ReadFile(dst.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(got), numbers
}

func documents(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		space := rapid.SampledFrom([]string{"", "", "", " ", "\n\t"})
		kind := rapid.IntRange(0, 9).Draw(t, "kind")
		if depth == 0 || kind > 6 {
			return rapid.SampledFrom([]string{
				"1", "-2.5e3", "true", "null", `""`, `"text"`, `"a \"b\" \\"`, `"hunter2-secret"`, `"\u0068unter2-secret"`, "47114711", `"\ud83d\ude00\ud83d"`,
				`"` + strings.Repeat("long ", 30) + `"`, `"` + strings.Repeat(`\u00e9\n`, 30) + `hunter2-secret"`, strings.Repeat("9", 200), strings.Repeat("4711", 50),
			}).Draw(t, "scalar")
		}
		var parts []string
		for range rapid.IntRange(0, 6).Draw(t, "length") {
			part := space.Draw(t, "before") + documents(depth-1).Draw(t, "element") + space.Draw(t, "after")
			if kind > 3 {
				name := rapid.SampledFrom([]string{`"a"`, `"b\"c"`, `"hunter2-secret"`, `"` + strings.Repeat("n", 50) + `"`}).Draw(t, "name")
				part = space.Draw(t, "gap") + name + space.Draw(t, "colon") + ":" + part
			}
			parts = append(parts, part)
		}
		if kind > 3 {
			return "{" + strings.Join(parts, ",") + space.Draw(t, "end") + "}"
		}
		return "[" + strings.Join(parts, ",") + space.Draw(t, "end") + "]"
	})
}

// A document masked by parts says the same as one masked in whole, except for the
// numbers that tell masked names apart. One without secrets is unchanged.
func TestStreamAgreesWithJSON(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	masker := redact.New([]redact.Secret{{Name: "a", Value: []byte("hunter2-secret")}, {Name: "b", Value: []byte("47114711")}})
	none := redact.New([]redact.Secret{{Name: "a", Value: []byte("that does not occur")}})
	rapid.Check(t, func(t *rapid.T) {
		doc := " " + documents(4).Draw(t, "document") + "\n"
		by := rapid.SampledFrom([]sizes{{16, 8, 4}, {64, 32, 16}, {256, 128, 32}, usual}).Draw(t, "sizes")
		if got, _ := streamed(t, dir, none, doc, by); got != doc {
			t.Fatalf("Stream(without secrets) = %q\nwant %q", got, doc)
		}
		want, wantNumbers, err := JSON(masker, []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		got, numbers := streamed(t, dir, masker, doc, by)
		if !json.Valid([]byte(got)) || numbers != wantNumbers || plain(t, got) != plain(t, string(want)) {
			t.Fatalf("Stream(%q) = %q, %d\nwant %q, %d", doc, got, numbers, want, wantNumbers)
		}
	})
}

// plain is a document in one way of writing it.
func plain(t rapid.TB, doc string) string {
	decoder := json.NewDecoder(strings.NewReader(doc))
	decoder.UseNumber()
	var out bytes.Buffer
	for {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if text, is := token.(string); is && strings.HasPrefix(text, "[redacted]-") {
			token = "[redacted]"
		}
		written, err := json.Marshal(token)
		if delimiter, is := token.(json.Delim); is {
			written, err = []byte(delimiter.String()), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(written, ' '))
	}
	return out.String()
}

// What spans the parts of a long list leaves nothing of the document.
func TestStreamOfASecretAcrossParts(t *testing.T) {
	t.Parallel()
	masker := redact.New([]redact.Secret{{Name: "key", Value: []byte(`"part-one","part-two"`)}})
	doc := `["` + strings.Repeat("x", 20) + `","part-one","part-two","` + strings.Repeat("y", 20) + `"]`
	got, _ := streamed(t, t.TempDir(), masker, doc, sizes{40, 20, 4})
	if got != `"[redacted]"` {
		t.Errorf("Stream(%s) = %s, want all of it masked", doc, got)
	}
}
