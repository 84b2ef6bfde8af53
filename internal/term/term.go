// Package term prints for people: errors with hints, messages, and progress. Its
// rules:
//
//   - Results go to Out, everything else to Err.
//   - Colours and moving lines only where Err is a terminal and NO_COLOR is not
//     set; elsewhere each step is one plain line.
//   - An error is one line with the problem, the output of another program about
//     it, and one hint with the way out.
package term

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// Streams are the standard streams of a command. Its methods are safe for
// concurrent use.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	// Quiet leaves out everything except errors.
	Quiet bool
	// Interactive: a person can be asked.
	Interactive bool
	// Animate: Err is a terminal that understands colours and moving lines.
	Animate bool
	// Terminal: Err is a terminal, which would obey control characters in texts of a
	// service; OutTerminal: so is Out.
	Terminal, OutTerminal bool

	mu   sync.Mutex
	live *spinner
}

// System are the streams of this process.
func System() *Streams {
	isTerminal := term.IsTerminal(int(os.Stderr.Fd()))
	terminal := isTerminal && os.Getenv("TERM") != "dumb"
	return &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Interactive: terminal && term.IsTerminal(int(os.Stdin.Fd())),
		Animate:     terminal && os.Getenv("NO_COLOR") == "",
		Terminal:    isTerminal, OutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
	}
}

var (
	bad       = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Red)
	noteStyle = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
	good      = lipgloss.NewStyle().Foreground(lipgloss.Green)
	faint     = lipgloss.NewStyle().Faint(true)
)

func (s *Streams) paint(style lipgloss.Style, text string) string {
	if !s.Animate {
		return text
	}
	return style.Render(text)
}

// Say prints a message about the work.
func (s *Streams) Say(format string, args ...any) {
	if !s.Quiet {
		s.print(s.quoted(fmt.Sprintf(format, args...)) + "\n")
	}
}

// Warn prints a message that stands out.
func (s *Streams) Warn(format string, args ...any) {
	if !s.Quiet {
		s.print(s.paint(noteStyle, "warning:") + " " + s.quoted(fmt.Sprintf(format, args...)) + "\n")
	}
}

// Error prints an error, with its details and its hint if it has any.
func (s *Streams) Error(err error) {
	var b strings.Builder
	message := s.quoted(err.Error())
	if strings.Contains(message, "\n") {
		message = strings.ReplaceAll(message, "\n", "\n  ")
	}
	fmt.Fprintf(&b, "%s %s\n", s.paint(bad, "error:"), message)
	if detailed, ok := errors.AsType[interface {
		error
		Details() string
	}](err); ok && detailed.Details() != "" {
		for line := range strings.Lines(detailed.Details()) {
			b.WriteString("  " + s.paint(faint, s.quoted(strings.TrimRight(line, "\n"))) + "\n")
		}
	}
	if hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok && hinted.Hint() != "" {
		fmt.Fprintf(&b, "%s %s\n", s.paint(noteStyle, "hint:"), strings.ReplaceAll(s.quoted(hinted.Hint()), "\n", "\n  "))
	}
	s.print(b.String())
}

// print writes around a live progress line.
func (s *Streams) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLine()
	_, _ = io.WriteString(s.Err, text)
}

// Good marks a word that says that all is well.
func (s *Streams) Good(text string) string { return s.paint(good, text) }

// Notice marks a word that asks for a look.
func (s *Streams) Notice(text string) string { return s.paint(noteStyle, text) }

// Bad marks a word that names a problem.
func (s *Streams) Bad(text string) string { return s.paint(bad, text) }

// Faint shows text that matters less.
func (s *Streams) Faint(text string) string { return s.paint(faint, text) }
