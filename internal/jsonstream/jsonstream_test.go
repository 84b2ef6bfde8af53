package jsonstream_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/jsonstream"
)

// TestCheckAgreesWithEncodingJSON compares the syntax with that of encoding/json,
// for texts that are cut anywhere.
func TestCheckAgreesWithEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		"", " ", "{}", " [1] \n", "[1]x", "[1] [2]", "nul", "nulL", "01", "1.", "1e5", "1E-0", "-", "-0", "-01", "+1", ".5", "1e", "1e+", `"\ud800"`, "\"\xff\"", "\"\x01\"",
		"\"\x7f\"", `"\x"`, `"\u12g4"`, `{"a":1,"a":2}`, `{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `{1:2}`, `{"a"}`, `{"a" 1}`, `{"a":}`, "\ufeff{}", "NaN", "'a'", `"a`, "[", "]", "[}", "{]", `["a" "b"]`,
		`{"a" : [ true , false, null, {}, [ ] , "\"\\\/\b\f\n\r\t\u00e9" ] }`, `[1}`, `{"a":1]`, "1 2", "truefalse",
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
	} {
		same(t, doc)
	}
	rapid.Check(t, func(t *rapid.T) {
		pieces := []string{"{", "}", "[", "]", ",", ":", `"a"`, `"\\"`, `"\"`, "1", "-1.5e3", "true", "null", " ", "0", "e"}
		same(t, strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 8).Draw(t, "doc"), ""))
	})
}

func same(t rapid.TB, doc string) {
	t.Helper()
	for _, err := range []error{jsonstream.Check(strings.NewReader(doc)), jsonstream.Check(iotest.OneByteReader(strings.NewReader(doc)))} {
		if valid := err == nil; valid != json.Valid([]byte(doc)) || err != nil && !errors.Is(err, jsonstream.ErrSyntax) {
			t.Errorf("Check(%.60q) = %v, want it as json.Valid says", doc, err)
		}
	}
}

func TestCopyMembers(t *testing.T) {
	t.Parallel()
	skip := func(name string) bool { return name == "_links" }
	long := strings.Repeat(`k\"`, 100_000)
	for doc, want := range map[string]struct {
		text    string
		members int
	}{
		`{}`:    {"", 0},
		` [1] `: {"", 0},
		`"{"`:   {"", 0},
		` { "a" : 1 , "b" : [ {"x": "}]\"" }, "\\" ] ,"c":"\\","d":{ } } `: {`"a":1,"b":[ {"x": "}]\"" }, "\\" ],"c":"\\","d":{ }`, 4},
		`{"_links":{"a":[1]},"a":true}`:                                    {`"a":true`, 1},
		`{"a":null,"\u005flinks":"x","\"":-1e5,"a":"\""}`:                  {`"a":null,"\"":-1e5,"a":"\""`, 3},
		"{\"a\":1\n}": {`"a":1`, 1},
		`{"_links":1, "` + long + `" : {}, "_links":2, "b":3}`: {`"` + long + `":{},"b":3`, 2},
	} {
		for _, reader := range []func(string) (*bytes.Buffer, int, error){whole(skip), byteByByte(skip)} {
			got, members, err := reader(doc)
			if err != nil || got.String() != want.text || members != want.members {
				t.Errorf("CopyMembers(%s) = %s, %d, %v, want %s, %d", doc, got, members, err, want.text, want.members)
			}
		}
	}
	if _, err := jsonstream.CopyMembers(&bytes.Buffer{}, strings.NewReader(`{"a":[`), skip); err == nil {
		t.Error("CopyMembers(half a text) = nil error, want one")
	}
}

// TestCopyMembersWritesPieces counts the writes for an object of many small members:
// a server sets a deadline for each.
func TestCopyMembersWritesPieces(t *testing.T) {
	t.Parallel()
	var writes writeCounter
	doc := `{"a":1` + strings.Repeat(`,"a":1`, 99_999) + `}`
	members, err := jsonstream.CopyMembers(&writes, strings.NewReader(doc), func(string) bool { return false })
	if err != nil || members != 100_000 {
		t.Fatalf("CopyMembers(100000 members) = %d, %v, want all", members, err)
	}
	if most := writeCounter(len(doc)>>16 + 1); writes > most {
		t.Errorf("CopyMembers(%d bytes) made %d writes, want at most %d", len(doc), writes, most)
	}
}

type writeCounter int

func (c *writeCounter) Write(p []byte) (int, error) {
	*c++
	return len(p), nil
}

func whole(skip func(string) bool) func(string) (*bytes.Buffer, int, error) {
	return func(doc string) (*bytes.Buffer, int, error) {
		var out bytes.Buffer
		n, err := jsonstream.CopyMembers(&out, strings.NewReader(doc), skip)
		return &out, n, err
	}
}

func byteByByte(skip func(string) bool) func(string) (*bytes.Buffer, int, error) {
	return func(doc string) (*bytes.Buffer, int, error) {
		var out bytes.Buffer
		n, err := jsonstream.CopyMembers(&out, iotest.OneByteReader(strings.NewReader(doc)), skip)
		return &out, n, err
	}
}

func TestCheckTextWantsUTF8(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]bool{
		`"aéß→😀"`: true, "\"\xff\"": false, "\"\xc3\"": false, "\"\xe2\x86\"": false, "\"\xed\xa0\x80\"": false, `["é",1]`: true, "\"a": false, "1\xc3": false,
	} {
		for _, reader := range []io.Reader{strings.NewReader(doc), iotest.OneByteReader(strings.NewReader(doc)), iotest.HalfReader(strings.NewReader(doc))} {
			if err := jsonstream.CheckText(reader); (err == nil) != want {
				t.Errorf("CheckText(%q) = %v, want valid: %v", doc, err, want)
			}
		}
	}
}
