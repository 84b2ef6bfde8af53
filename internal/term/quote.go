package term

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// quoted is text in the form that Err shows.
func (s *Streams) quoted(text string) string {
	if !s.Terminal {
		return text
	}
	return Quote(text)
}

// Result is a writer to Out for the result of a service. A terminal shows control
// characters in it as escapes.
func (s *Streams) Result() io.Writer {
	if !s.OutTerminal {
		return s.Out
	}
	return quoter{s.Out}
}

type quoter struct{ to io.Writer }

func (q quoter) Write(b []byte) (int, error) {
	if _, err := io.WriteString(q.to, Quote(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Quote writes the control characters of a text as escapes, except tabs, line ends
// and carriage returns: a terminal would obey others. It would also obey some bytes
// that are not UTF-8.
func Quote(text string) string {
	if strings.IndexFunc(text, isOrder) < 0 {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch _, size := utf8.DecodeRuneInString(text[i:]); {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r != utf8.RuneError && isOrder(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isOrder(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError
}
