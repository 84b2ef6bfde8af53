package engine

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/redact"
)

func TestSeverity(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]execution.Severity{
		"2026-01-31 12:00:00.123 | INFO     | src.program:run:12 - text": execution.Info,
		"2026-01-31 12:00:00.123 | SUCCESS  | src.program:run:12 - text": execution.Notice,
		"2026-01-31 12:00:00.123 | CRITICAL | src.program:run:12 - text": execution.Error,
		"2026-01-31 12:00:00,123 | DEBUG    | name - text":               execution.Debug,
		"2026-01-31 12:00:00,123 - root - ERROR - text":                  execution.Error,
		"2026-01-31 12:00:00,123 WARNING text":                           execution.Warning,
		"2026-01-31 12:00:00,123 [ERROR] text":                           execution.Error,
		"2026-01-31T12:00:00Z module INFO text":                          execution.Info,
		"DEBUG:root:text":                                                execution.Debug,
		"ERROR: text":                                                    execution.Error,
		"[WARN] text":                                                    execution.Warning,
		"2026/01/31 12:00:00 ERROR text":                                 execution.Error,
		"time=2026-01-31T12:00:00Z level=ERROR msg=text":                 execution.Error,
		"level=DEBUG msg=text":                                           execution.Debug,
		`{"time":"2026-01-31T12:00:00Z","level":"WARN","msg":"text"}`:    execution.Warning,
		"":                                    "",
		"text":                                "",
		"ERROR is a word":                     "",
		"an ERROR: text":                      "",
		"INFORMATION: text":                   "",
		"2026-01-31 the day of the ERROR":     "",
		"2026-01-31 12:00:00 it was an ERROR": "",
	} {
		if got := severityOf(line, ""); got != want {
			t.Errorf("severityOf(%q) = %q, want %q", line, got, want)
		}
	}
}

func maskerOf(secrets ...redact.Secret) func() *redact.Masker {
	masker := redact.New(secrets)
	return func() *redact.Masker { return masker }
}

// written passes pieces through a stream and gives the lines.
func written(t testing.TB, masker *redact.Masker, pieces ...string) []execution.LogEntry {
	t.Helper()
	lw := newLogWriter(func() *redact.Masker { return masker }, 1<<40)
	var lines []execution.LogEntry
	lw.write = func(entries []execution.LogEntry) error {
		lines = append(lines, entries...)
		return nil
	}
	lw.failed = func(int, error) { t.Error("the log failed") }
	s := lw.stream(execution.Info)
	for _, piece := range pieces {
		if n, err := s.Write([]byte(piece)); err != nil || n != len(piece) {
			t.Errorf("Write(%d bytes) = %d, %v, want all written", len(piece), n, err)
		}
	}
	s.close()
	lw.close()
	return lines
}

// TestLinesAreLive has a line shown that does not go on for a while.
func TestLinesAreLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lw := newLogWriter(maskerOf(redact.Secret{Name: "token", Value: []byte("hunter2-secret")}), 1<<40)
		shown := make(chan string, 10)
		lw.write = func(entries []execution.LogEntry) error {
			for _, entry := range entries {
				shown <- entry.Message
			}
			return nil
		}
		s := lw.stream(execution.Info)
		want := func(text string, within time.Duration) {
			t.Helper()
			select {
			case got := <-shown:
				if got != text {
					t.Errorf("the log shows %q, want %q", got, text)
				}
			case <-time.After(within):
				t.Errorf("the log shows nothing within %v, want %q", within, text)
			}
		}
		for _, dots := range []string{"..", "...", "hunter2-secret .."} {
			begun := time.Now()
			for i := range dots {
				_, _ = s.Write([]byte{dots[i]})
				time.Sleep(time.Millisecond)
			}
			want(strings.ReplaceAll(dots, "hunter2-secret", redact.Mask), liveAfter+2*flushInterval)
			if passed := time.Since(begun); passed < liveAfter {
				t.Errorf("the log shows a line that went on after %v, want it to wait %v", passed, liveAfter)
			}
		}
		_, _ = s.Write([]byte("\nnext\n")) // the row of dots has its line already
		want("next", liveAfter)
		for i, text := range []string{"5 \xe2", "\x82", "\xac\n"} { // a character in pieces
			_, _ = s.Write([]byte(text))
			time.Sleep(2 * liveAfter)
			switch i {
			case 0:
				want("5 ", liveAfter)
			case 2:
				want("€", liveAfter)
			}
		}
		_, _ = s.Write([]byte("not hunter2-se\n")) // masking holds back what looks like the secret
		time.Sleep(2 * liveAfter)
		_, _ = s.Write([]byte("...\n"))
		want("not hunter2-se", liveAfter)
		want("...", liveAfter)
		_, _ = s.Write([]byte{0x82}) // no character at all
		want("\uFFFD", 3*liveAfter)
		_, _ = s.Write([]byte("\n"))
		_, _ = s.Write([]byte(strings.Repeat("x", block))) // a line that a buffer has cut
		time.Sleep(2 * liveAfter)
		_, _ = s.Write([]byte("x\nno more"))
		want(strings.Repeat("x", block+1), liveAfter)
		s.close()
		lw.close()
		want("no more", liveAfter)
		time.Sleep(2 * liveAfter)
		if len(shown) > 0 {
			t.Errorf("the log shows %q after the end, want nothing", <-shown)
		}
	})
}

func TestLines(t *testing.T) {
	t.Parallel()
	masker := redact.New([]redact.Secret{{Name: "token", Value: []byte("hunter2-hunter2")}})
	for _, c := range []struct {
		name   string
		pieces []string
		want   []string
	}{
		{"two lines", []string{"a\nb\n"}, []string{"a", "b"}},
		{"pieces", []string{"a", "b\nc", "d"}, []string{"ab", "cd"}},
		{"empty lines", []string{"\n\na\n"}, []string{"", "", "a"}},
		{"CRLF", []string{"a\r\nb\r", "\n"}, []string{"a", "b"}},
		{"no text", []string{""}, nil},
		{"a progress bar", []string{"1%\r2%", "\r", "3%\r\n", "next\n"}, []string{"1%", "2%", "3%", "next"}},
		{"a progress bar that returns first", []string{"\r1%", "\r2%", "\r", "3%"}, []string{"1%", "2%", "3%"}},
		{"carriage returns", []string{"a\r\r", "\r\n\r\n", "\r", "\r"}, []string{"a", ""}},
		{"a secret across a return", []string{"hunter2-\rhunter2-hun", "ter2\r"}, []string{"hunter2-", "[redacted]"}},
		{"secret in pieces", []string{"a hun", "ter2-hunter", "2 b\n"}, []string{"a [redacted] b"}},
		{"half a secret at the end", []string{"a hunter2-"}, []string{"a hunter2-"}},
		{"NUL and no UTF-8", []string{"a\x00b\xff\n"}, []string{"a\uFFFDb\uFFFD"}},
		{"long", []string{strings.Repeat("x", maxLine), strings.Repeat("y", maxLine) + "z\n"},
			[]string{strings.Repeat("x", maxLine), strings.Repeat("y", maxLine), "z"}},
		{"long with wide characters", []string{"a" + strings.Repeat("ü", maxLine/2) + "\n"},
			[]string{"a" + strings.Repeat("ü", maxLine/2-1), "ü"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, line := range written(t, masker, c.pieces...) {
				got = append(got, line.Message)
			}
			if strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
				t.Errorf("the lines are %.200q, want %.200q", got, c.want)
			}
		})
	}
}

// For any output of a service, cut anywhere, the store accepts the lines, and no
// character of the text is lost.
func FuzzLines(f *testing.F) {
	f.Add("a\nb", "c\r\n", 1)
	f.Add(strings.Repeat("ü", maxLine), "\xff\x00", 3)
	masker := redact.New(nil)
	f.Fuzz(func(t *testing.T, a, b string, cut int) {
		text := a + b
		cut = max(0, min(cut, len(text)))
		var joined strings.Builder
		for _, line := range written(t, masker, text[:cut], text[cut:]) {
			if !utf8.ValidString(line.Message) || strings.ContainsAny(line.Message, "\x00\n") || len(line.Message) > 3*maxLine {
				t.Fatalf("a line has %d bytes: %.100q, want valid text of at most %d", len(line.Message), line.Message, 3*maxLine)
			}
			if !line.Severity.Valid() {
				t.Fatalf("the severity is %q, want a valid one", line.Severity)
			}
			joined.WriteString(line.Message)
		}
		if utf8.ValidString(text) && !strings.ContainsAny(text, "\x00\r\n") && joined.String() != text {
			t.Fatalf("%d bytes became %d, want the text unchanged", len(text), joined.Len())
		}
	})
}

// Lines are written in batches, the first at once; what the store refuses does
// not stop the service.
func TestLogWriter(t *testing.T) {
	t.Parallel()
	lw := newLogWriter(maskerOf(), 1<<40)
	first, release := make(chan struct{}, 1), make(chan struct{})
	writes, lost := 0, 0
	lw.write = func([]execution.LogEntry) error {
		if writes++; writes == 1 {
			first <- struct{}{}
			<-release
			return nil
		}
		return errors.New("the disk is full")
	}
	lw.failed = func(lines int, _ error) { lost = lines }
	s := lw.stream(execution.Info)
	const lines = 10_000
	for i := range lines {
		if _, err := s.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			select {
			case <-first:
			case <-time.After(time.Minute):
				t.Fatal("the first line is not written, want it at once")
			}
		}
	}
	close(release)
	s.close()
	lw.close()
	if writes > 10 || lost != lines-1 {
		t.Errorf("%d writes and %d lost lines, want at most 10 and %d", writes, lost, lines-1)
	}
}

// A service that prints without end waits only for the store, and not for the interval
// that collects lines.
func TestLogWriterFlushesEarlyAboveTheThreshold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lw := newLogWriter(maskerOf(), 1<<40)
		kept := 0
		lw.write = func(entries []execution.LogEntry) error {
			kept += len(entries)
			return nil
		}
		s := lw.stream(execution.Info)
		text := strings.Repeat(strings.Repeat("x", 99)+"\n", 1000)
		begun := time.Now()
		for range 100 {
			_, _ = s.Write([]byte(text))
		}
		s.close()
		lw.close()
		if took := time.Since(begun); took > 0 || kept != 100_000 {
			t.Errorf("%d lines written in %v, want 100000 without delay", kept, took)
		}
	})
}
