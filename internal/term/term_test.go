package term_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/qhubctl/qhubctl/internal/term"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fullError has all parts that an error can have.
type fullError struct{ details, hint string }

func (e fullError) Error() string   { return "it broke\nin two ways" }
func (e fullError) Details() string { return e.details }
func (e fullError) Hint() string    { return e.hint }

func TestError(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"plain", errors.New("it broke"), "error: it broke\n"},
		{"full", fullError{"what it said\nat length\n", "try\nagain"}, "error: it broke\n  in two ways\n  what it said\n  at length\nhint: try\n  again\n"},
		{"wrapped", fmt.Errorf("on the way: %w", fullError{"", "try"}), "error: on the way: it broke\n  in two ways\nhint: try\n"},
		{"empty", fullError{}, "error: it broke\n  in two ways\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, said bytes.Buffer
			streams := &term.Streams{Out: &out, Err: &said, Quiet: true}
			streams.Error(test.err)
			if said.String() != test.want || out.Len() > 0 {
				t.Errorf("got\n%q, want\n%q", said.String(), test.want)
			}
		})
	}
}

func TestQuiet(t *testing.T) {
	var said bytes.Buffer
	streams := &term.Streams{Err: &said, Quiet: true}
	streams.Say("a")
	streams.Warn("b")
	streams.Step("c")(nil)
	if said.Len() > 0 {
		t.Errorf("with Quiet it said %q, want nothing", said.String())
	}
	if _, err := streams.Log().Write([]byte("the service's log\n")); err != nil || said.String() != "the service's log\n" {
		t.Errorf("Log().Write() = %v and %q, want the text", err, said.String())
	}
}

// TestStepElsewhere: a step is one line when it begins and one when it ends, unless
// it fails: then the error says so.
func TestStepElsewhere(t *testing.T) {
	var said bytes.Buffer
	streams := &term.Streams{Err: &said}
	streams.Step("Baking")(nil)
	streams.Step("Frying")(errors.New("burnt"))
	if got, want := said.String(), "Baking ...\nBaking: done in 0s\nFrying ...\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// screen simulates a terminal: "\r" returns to the start of the line, and "\x1b[K"
// clears it.
func screen(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if at := strings.LastIndex(line, "\r\x1b[K"); at >= 0 {
			line = line[at+len("\r\x1b[K"):]
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines
}

// TestStepOnATerminal: text that is printed during a step replaces the moving line,
// which comes back, in whole lines.
func TestStepOnATerminal(t *testing.T) {
	var said bytes.Buffer
	streams := &term.Streams{Err: &said, Animate: true}
	done := streams.Step("Baking")
	var writing sync.WaitGroup
	for range 8 {
		writing.Go(func() {
			for range 50 {
				streams.Say("said")
				_, _ = streams.Log().Write([]byte("logged\n"))
			}
		})
	}
	writing.Wait()
	done(nil)
	said800 := 0
	for _, line := range screen(said.String()) {
		switch {
		case line == "said" || line == "logged":
			said800++
		case strings.Contains(line, "✓") && strings.Contains(line, "Baking"):
		default:
			t.Fatalf("the screen has the line %q, want a note or the step", line)
		}
	}
	if said800 != 800 || !strings.Contains(said.String(), "✓") {
		t.Errorf("the screen has %d of 800 lines, want all and a check mark", said800)
	}
	said.Reset()
	streams.Step("Frying")(errors.New("burnt"))
	if !strings.Contains(said.String(), "✗") {
		t.Errorf("a failed step shows %q, want a cross", said.String())
	}
}

func TestAskWithoutATerminal(t *testing.T) {
	for _, streams := range []*term.Streams{
		{In: strings.NewReader("secret\n"), Err: &bytes.Buffer{}},
		{In: strings.NewReader("secret\n"), Err: &bytes.Buffer{}, Interactive: true},
	} {
		if value, err := streams.AskSecret(t.Context(), "token"); !errors.Is(err, term.ErrNoTerminal) || value.Len() > 0 {
			t.Errorf("AskSecret() = %d bytes, %v, want ErrNoTerminal", value.Len(), err)
		}
	}
}
