package main

import (
	"strings"
	"testing"
)

func TestFailuresThatSayWhatWasWanted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source string
		want   share
	}{
		"a message with want":    {`t.Errorf("f() = %v, want 1", got)`, share{1, 1}},
		"a message without":      {`t.Errorf("f() = %v", got)`, share{0, 1}},
		"joined literals":        {`t.Fatalf("f() = %v, " + "wanted 1", got)`, share{1, 1}},
		"a word that holds want": {`t.Fatalf("unwanted %v", got)`, share{0, 1}},
		"an error, no failure":   {`_ = fmt.Errorf("open: %w", err)`, share{}},
		"another method":         {`t.Error("no log")`, share{}},
	} {
		total := shares{files: map[string]share{}}
		source := "package a\n\nimport \"testing\"\n\nfunc f(t *testing.T) {\n\t" + c.source + "\n}\n"
		if err := total.add("a_test.go", source); err != nil {
			t.Fatal(err)
		}
		if total.want != c.want || len(total.without) != c.want.all-c.want.having {
			t.Errorf("counting %s = %v with %d findings, want %v", name, total.want, len(total.without), c.want)
		}
	}
	total := shares{files: map[string]share{}}
	if err := total.add("a.go", "package a\n\nfunc f(t log) { t.Errorf(\"f\") }\n"); err != nil || total.want.all != 0 {
		t.Errorf("a file without the testing package counts %d messages, want 0 (%v)", total.want.all, err)
	}
}

func TestShareOfLongSentences(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", maxSentence) + "more. "
	total := shares{files: map[string]share{}}
	if err := total.add("a.md", long+"One of four words.\n\n| cell | two words |\n"); err != nil {
		t.Fatal(err)
	}
	if want := (share{1, 2}); total.long != want {
		t.Errorf("sentences of more than %d words = %v, want %v: fragments do not count", maxSentence, total.long, want)
	}
	total.want = share{1, 100}
	if err := total.bounds(); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("bounds(both shares broken) = %v, want two problems", err)
	}
	total.long, total.want = share{1, 100}, share{99, 100}
	if err := total.bounds(); err != nil {
		t.Errorf("bounds(both shares kept) = %v, want nil", err)
	}
	var out strings.Builder
	total.files["a_test.go"] = share{98, 99}
	if err := total.print(&out); err != nil || !strings.Contains(out.String(), "99 of 100, 99.0 %") || !strings.Contains(out.String(), "1 without in a_test.go") {
		t.Errorf("print() = %q, %v, want both figures and the file", out.String(), err)
	}
}
