package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// script is a program of a few lines of shell.
func script(t *testing.T, lines string) Binary {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the programs of this test are shell scripts")
	}
	path := filepath.Join(t.TempDir(), "service")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines), 0o700); err != nil {
		t.Fatal(err)
	}
	return Binary{Path: path}
}

// lineSignal signals the first line that is written to it.
type lineSignal struct{ line chan string }

func (l lineSignal) Write(b []byte) (int, error) {
	select {
	case l.line <- strings.TrimSpace(string(b)):
	default:
	}
	return len(b), nil
}

func begin(t *testing.T, b Binary, describe bool, c Command) Execution {
	t.Helper()
	c.Env = append(c.Env, "PATH="+os.Getenv("PATH"))
	e, err := b.Start(c, describe)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func secretOf(env, value string) []Secret {
	return []Secret{{Env: env, Value: plaintext.FromString(value)}}
}

func TestBinaryDescribesAndThenRuns(t *testing.T) {
	b := script(t, `
if [ "$1" = --describe ]; then
	echo "importing ${SECRET_A:-without secrets}" >&2
	echo '{"schemaVersion": 1}'
	exit
fi
echo "$# arguments, $SECRET_A, in $(pwd)"
echo "PLAIN=$PLAIN" >&2
exit 3
`)
	var stdout, stderr bytes.Buffer
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := begin(t, b, true, Command{Dir: dir, Env: []string{"PLAIN=p"}, Stdout: &stdout, Stderr: &stderr})
	document, err := e.Describe(t.Context())
	if err != nil || string(document) != `{"schemaVersion": 1}` {
		t.Fatalf("Describe() = %q, %v, want the document", document, err)
	}
	if err := e.Run(secretOf("SECRET_A", "tok-1")); err != nil {
		t.Fatal(err)
	}
	outcome, err := e.Wait()
	if err != nil || outcome != (Outcome{ExitCode: 3}) {
		t.Errorf("Wait() = %+v, %v, want exit code 3", outcome, err)
	}
	if got, want := stdout.String(), "0 arguments, tok-1, in "+dir+"\n"; got != want {
		t.Errorf("it printed %q, want %q", got, want)
	}
	if got, want := stderr.String(), "importing without secrets\nPLAIN=p\n"; got != want {
		t.Errorf("it logged %q, want %q", got, want)
	}
}

func TestBinaryRunsWithoutDescribing(t *testing.T) {
	var stdout bytes.Buffer
	e := begin(t, script(t, `echo "ran $*"`), false, Command{Stdout: &stdout, Stderr: io.Discard})
	if err := e.Run(nil); err != nil {
		t.Fatal(err)
	}
	if outcome, err := e.Wait(); err != nil || outcome != (Outcome{}) || stdout.String() != "ran \n" {
		t.Errorf("Wait() = %+v, %v with %q, want success and ran", outcome, err, stdout.String())
	}
}

// TestBinaryPrintsBesideItsDescription finds a description among other lines, which
// go to the log.
func TestBinaryPrintsBesideItsDescription(t *testing.T) {
	const document = `{"schemaVersion": 1, "text": "{\"schemaVersion\": 2}"}`
	for name, c := range map[string]struct{ before, after, log string }{
		"nothing":            {"", "", ""},
		"lines before":       {"starting\n{not JSON}\n", "", "starting\n{not JSON}\n"},
		"JSON before":        {"{\"level\": \"info\"}\n", "", "{\"level\": \"info\"}\n"},
		"no line end before": {"no line end ", "", "no line end "},
		"lines after":        {"", "\nbye\n", "bye\n"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "printed")
			if err := os.WriteFile(file, []byte(c.before+document+c.after), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			e := begin(t, script(t, "exec cat '"+file+"'"), true, Command{Stdout: &log, Stderr: io.Discard})
			if got, err := e.Describe(t.Context()); err != nil || string(got) != document || log.String() != c.log {
				t.Errorf("Describe = %s, %v with the log %q, want %s with %q", got, err, log.String(), document, c.log)
			}
		})
	}
}

func TestBinaryThatDoesNotDescribe(t *testing.T) {
	for name, c := range map[string]struct {
		lines    string
		patience time.Duration
		says     string
	}{
		"prints nothing":  {lines: "exit 1"},
		"prints no end":   {lines: "exec cat /dev/zero", says: "MiB"},
		"does not return": {lines: "exec sleep 600", patience: 50 * time.Millisecond, says: "50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			b := script(t, c.lines)
			b.patience = c.patience
			e := begin(t, b, true, Command{Stdout: io.Discard, Stderr: io.Discard})
			_, err := e.Describe(t.Context())
			if !errors.Is(err, ErrNotDescribed) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Describe() = %v, want ErrNotDescribed with %q", err, c.says)
			}
			if _, err := e.Wait(); err != nil {
				t.Errorf("Wait() = %v, want nil", err)
			}
		})
	}
}

func TestBinaryDescribeEndsWithItsContext(t *testing.T) {
	started := lineSignal{make(chan string, 1)}
	e := begin(t, script(t, "echo started >&2; exec sleep 600"), true, Command{Stderr: started})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-started.line
		cancel()
	}()
	if _, err := e.Describe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Describe(cancelled) = %v, want context.Canceled", err)
	}
}

func TestBinaryCancelledBeforeItRunsNeverRuns(t *testing.T) {
	var stdout bytes.Buffer
	e := begin(t, script(t, "echo ran"), false, Command{Stdout: &stdout, Stderr: io.Discard})
	e.Stop(syscall.SIGTERM, 0)
	if err := e.Run(nil); err != nil {
		t.Fatal(err)
	}
	if outcome, err := e.Wait(); err != nil || outcome.ExitCode == 0 || stdout.Len() > 0 {
		t.Errorf("Wait() = %+v, %v with %q, want a failure without output", outcome, err, stdout.String())
	}
}

func TestBinaryIsAskedToStop(t *testing.T) {
	started := lineSignal{make(chan string, 1)}
	e := begin(t, script(t, `
trap 'exit 7' TERM
echo started
while :; do sleep 0.01; done
`), false, Command{Stdout: started, Stderr: io.Discard})
	if err := e.Run(nil); err != nil {
		t.Fatal(err)
	}
	<-started.line
	e.Stop(syscall.SIGTERM, time.Minute)
	if outcome, err := e.Wait(); err != nil || outcome != (Outcome{ExitCode: 7}) {
		t.Errorf("Wait() = %+v, %v, want exit code 7", outcome, err)
	}
}

func TestBinaryThatIsNotThere(t *testing.T) {
	b := Binary{Path: filepath.Join(t.TempDir(), "absent")}
	if _, err := b.Start(Command{}, true); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start(a missing program) = %v, want os.ErrNotExist", err)
	}
	e := begin(t, b, false, Command{})
	if err := e.Run(secretOf("SECRET_A", "tok-1")); !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "tok-1") {
		t.Errorf("Run(a missing program) = %v, want os.ErrNotExist and no secret", err)
	}
	if _, err := e.Wait(); err != nil {
		t.Errorf("Wait() = %v, want nil", err)
	}
}

// TestNoProcessGetsWhatIsNoSecret: requests and files with such values are refused by the
// name of the secret. If one check is missing, still no process gets a value that would
// change on the way.
func TestNoProcessGetsWhatIsNoSecret(t *testing.T) {
	for name, value := range map[string]string{
		"too long": strings.Repeat("tok-", 50_000), "not UTF-8": "tok-\xfc", "NUL": "tok-\x00",
	} {
		for kind, program := range map[string]Program{"binary": script(t, "exit"), "python": Python{Interpreter: "/bin/cat", Launcher: "/dev/null"}} {
			e, err := program.Start(Command{Stdout: io.Discard, Stderr: io.Discard}, false)
			if err != nil {
				t.Fatal(err)
			}
			err = e.Run(secretOf("SECRET_A", value))
			if err == nil || !strings.HasPrefix(err.Error(), "the secret in SECRET_A ") || strings.Contains(err.Error(), "tok-") {
				t.Errorf("Run(%s, %s) = %v, want a refusal", kind, name, err)
			}
			e.Stop(os.Kill, 0)
			_, _ = e.Wait()
		}
	}
}
