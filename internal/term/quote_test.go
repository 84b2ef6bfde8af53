package term

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain\ttext\r\nüñ–\u00a0": "plain\ttext\r\nüñ–\u00a0",
		"\x1b]0;title\x07":         `\x1b]0;title\x07`,
		"\x1b[2J\x1b[31mred":       `\x1b[2J\x1b[31mred`,
		"c1 \u009b31m":             `c1 \x9b31m`,
		"raw \x9b31m":              `raw \x9b31m`,
		"\x00\x08\x7f":             `\x00\x08\x7f`,
		"a real \ufffd":            "a real \ufffd",
	} {
		if got := Quote(text); got != want {
			t.Errorf("Quote(%q) = %q, want %q", text, got, want)
		}
	}
}

// TestQuotedOnATerminal shows terminal commands in the output of services as escapes,
// and passes them on if there is no terminal.
func TestQuotedOnATerminal(t *testing.T) {
	t.Parallel()
	const text, shown = "a\x1b[2Jb\n", `a\x1b[2Jb`
	for _, terminal := range []bool{true, false} {
		var out, said bytes.Buffer
		s := &Streams{Out: &out, Err: &said, Terminal: terminal, OutTerminal: terminal}
		for _, piece := range []string{text, "ü"[:1], "ü"[1:] + "\n", "\xc2", "\x9b31m\n"} {
			if n, err := s.Log().Write([]byte(piece)); err != nil || n != len(piece) {
				t.Errorf("Write(%q) = %d, %v, want %d, nil", piece, n, err, len(piece))
			}
		}
		s.Error(errors.New(text))
		s.Warn("of %s", text)
		s.Say("of %s", text)
		if _, err := s.Result().Write([]byte(text)); err != nil {
			t.Error(err)
		}
		all := said.String() + out.String()
		if strings.Contains(all, "\x1b[2J") == terminal || strings.Contains(all, "\u009b") == terminal || strings.Count(all, shown) != map[bool]int{true: 5}[terminal] || !strings.Contains(all, "ü\n") {
			t.Errorf("with a terminal: %t, it shows %q, want escapes on a terminal alone", terminal, all)
		}
	}
}
