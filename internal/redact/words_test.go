package redact

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// Word secrets are masked where they stand alone, in text and in JSON, however
// a stream is cut.
func TestWords(t *testing.T) {
	t.Parallel()
	m := New([]Secret{{Value: []byte("1234"), Word: true}, {Value: []byte("p-1"), Word: true}, {Value: []byte("true"), Word: true}, {Value: []byte("hunter2-hunter2")}})
	for _, test := range []struct{ text, want string }{
		{"PIN 1234.", "PIN [redacted]."},
		{"1234", "[redacted]"},
		{"id 12345 x1234 1234_ 91234 é1234", "id 12345 x1234 1234_ 91234 é1234"},
		{`{\"pin\":\"1234\",\"n\":1234}`, `{\"pin\":\"[redacted]\",\"n\":[redacted]}`},
		{`line\n1234\n`, `line\n[redacted]\n`},
		{"p-1 p-12 xp-1", "[redacted] p-12 xp-1"},
		{"untrue true", "untrue [redacted]"},
		{"1234 and hunter2-hunter2 1234", "[redacted] and [redacted] [redacted]"},
		{"MTIzNA== 31323334", "MTIzNA== 31323334"},
	} {
		if got := m.String(test.text); got != test.want {
			t.Errorf("String(%q) = %q, want %q", test.text, got, test.want)
		}
		for size := 1; size <= len(test.text); size++ {
			if got := maskInPieces(t, m, []byte(test.text), size); string(got) != test.want {
				t.Errorf("%q in pieces of %d = %q, want %q", test.text, size, got, test.want)
			}
		}
	}
	doc, err := m.JSON([]byte(`{"pin":1234,"ok":true,"s":"is 1234","n":12345,"untrue":"x"}`))
	if want := `{"pin":"[redacted]","ok":"[redacted]","s":"is [redacted]","n":12345,"untrue":"x"}`; err != nil || string(doc) != want {
		t.Errorf("JSON: %s, %v, want %s", doc, err, want)
	}
	only := New([]Secret{{Value: []byte("77"), Word: true}})
	if got := only.String("77 777 77"); got != "[redacted] 777 [redacted]" {
		t.Errorf("a masker of words alone: %q", got)
	}
	m.Clear()
	if slices.ContainsFunc(m.words, func(word []byte) bool { return bytes.Contains(word, []byte("1234")) }) {
		t.Error("a word is in memory after Clear")
	}
}

// What a caller sent is left in its result with what stands around it.
func TestExcept(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	m := New([]Secret{{Value: []byte(secret)}})
	long := "a story of a rabbit, hunter2-hunter2 and its many friends in the wood"
	input := `{"text":"` + long + `","short":"` + secret + `","quoted":"she said \"hunter2-hunter2\" to all of the other rabbits"}`
	results := m.Except([]byte(input))
	quoted := `she said "hunter2-hunter2" to all of the other rabbits`
	for _, test := range []struct{ name, text, want string }{
		{"in its surroundings", long, long},
		{"within more text", "You sent: " + long + ".", "You sent: " + long + "."},
		{"decoded", quoted, quoted},
		{"alone", secret, Mask},
		{"in other surroundings", "the password of the server is hunter2-hunter2, of course", "the password of the server is [redacted], of course"},
		{"in a part of its surroundings", "a rabbit, hunter2-hunter2 and me", "a rabbit, [redacted] and me"},
		{"both", long + " or hunter2-hunter2", long + " or [redacted]"},
	} {
		if got := results.String(test.text); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		for _, size := range []int{1, 3, 16, 1000} {
			if got := maskInPieces(t, results, []byte(test.text), size); string(got) != test.want {
				t.Errorf("%s in pieces of %d: %q, want %q", test.name, size, got, test.want)
			}
		}
		var file bytes.Buffer
		if err := results.Copy(&file, strings.NewReader(test.text)); err != nil || file.String() != test.want {
			t.Errorf("%s as a file: %q, %v, want %q", test.name, file.String(), err, test.want)
		}
		if got := m.String(test.text); strings.Contains(got, secret) {
			t.Errorf("%s in the log: %q", test.name, got)
		}
	}
	doc, err := results.JSON([]byte(`{"echo":"` + long + `","key":"` + secret + `"}`))
	if want := `{"echo":"` + long + `","key":"[redacted]"}`; err != nil || string(doc) != want {
		t.Errorf("JSON: %s, %v, want %s", doc, err, want)
	}
	m.Clear()
	if got := results.String("text"); got != Mask {
		t.Errorf("a masker of results after Clear of its origin: %q", got)
	}
}

// A large stream with exceptions is the same in any pieces.
func TestExceptInPieces(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	long := strings.Repeat("a story of a rabbit, hunter2-hunter2 and its many friends in the wood. ", 3)
	m := New([]Secret{{Value: []byte(secret)}}).Except([]byte(long))
	text := []byte(strings.Repeat(long+"hunter2-hunter2hunter2-hunter2 "+strings.Repeat("x ", 300), 200))
	want := m.Bytes(text)
	if n := bytes.Count(want, []byte(Mask)); n != 200 {
		t.Errorf("%d masks, want 200", n)
	}
	for _, size := range []int{7, 1000, 5000, 100_000} {
		if got := maskInPieces(t, m, text, size); !bytes.Equal(got, want) {
			t.Errorf("in pieces of %d: wrong", size)
		}
	}
}
