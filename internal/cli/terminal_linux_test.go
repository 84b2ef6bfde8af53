package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// terminal is a qhubctl that runs on a separate terminal.
type terminal struct {
	*exec.Cmd
	master, tty *os.File
	shown       testenv.Buffer
	read        chan struct{} // gets a value whenever more is shown
	ended       chan struct{}
}

// onTerminal starts a command in dir, whose three streams are a terminal.
func onTerminal(t *testing.T, dir string, env []string, args ...string) *terminal {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	term := &terminal{
		Cmd: exec.CommandContext(t.Context(), "qhubctl", args...), master: master, tty: tty,
		read: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	term.Dir, term.Stdin, term.Stdout, term.Stderr = dir, tty, tty, tty
	term.Env = append(append(plainEnv(t), "TERM=xterm-256color"), env...)
	term.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.Start(); err != nil {
		t.Fatal(err)
	}
	showing := make(chan struct{})
	go func() {
		defer close(showing)
		term.show()
	}()
	go func() {
		_ = term.Wait() // the code is in ProcessState
		close(term.ended)
	}()
	t.Cleanup(func() {
		_ = term.Process.Kill() // if it is still there
		<-term.ended
		_ = tty.Close()
		<-showing // all other ends of the terminal are closed
		_ = master.Close()
	})
	return term
}

func (term *terminal) show() {
	block := make([]byte, 4096)
	for {
		n, err := term.master.Read(block)
		_, _ = term.shown.Write(block[:n])
		select {
		case term.read <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// await waits until the terminal shows text.
func (term *terminal) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(patience)
	for !strings.Contains(term.shown.String(), text) {
		select {
		case <-term.read:
		case <-late:
			t.Fatalf("%q was not shown; there is:\n%s", text, term.shown.String())
		}
	}
}

func (term *terminal) enter(t *testing.T, keys string) {
	t.Helper()
	if _, err := term.master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

func (term *terminal) awaitEnd(t *testing.T, code int) {
	t.Helper()
	select {
	case <-term.ended:
	case <-time.After(patience):
		t.Fatalf("it did not end; there is:\n%s", term.shown.String())
	}
	if got := term.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d; there is:\n%s", got, code, term.shown.String())
	}
}

// echoes reports whether the terminal shows typed characters.
func (term *terminal) echoes(t *testing.T) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(term.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func TestInitAsks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ language, keys, file string }{
		{"python", "\r", filepath.Join("src", "program.py")},
		{"go", "\x1b[B\r", "main.go"}, // one down
	} {
		t.Run(test.language, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			term := onTerminal(t, dir, nil, "init")
			term.await(t, "Folder of the new service")
			term.enter(t, "\x15my-service\r") // from an empty line
			term.await(t, "submit")           // of the last question, the language
			term.enter(t, test.keys)
			term.awaitEnd(t, 0)
			if _, err := os.Stat(filepath.Join(dir, "my-service", test.file)); err != nil {
				t.Errorf("%v; there is:\n%s", err, term.shown.String())
			}
			if !term.echoes(t) {
				t.Error("the terminal does not echo after the prompt, want echo restored")
			}
		})
	}
}

func TestInitCanBeLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	term := onTerminal(t, dir, nil, "init")
	term.await(t, "Folder of the new service")
	term.enter(t, "\x03")
	term.awaitEnd(t, 130)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v was written", err, entries)
	}
	if !term.echoes(t) {
		t.Error("the terminal does not echo after the prompt, want echo restored")
	}
}

const countsToken = `
from qhub.commons.secret import SecretValue

def run(api_token: SecretValue) -> str:
    return f"{len(api_token.unwrap())} characters"
`

func TestSecretPrompt(t *testing.T) {
	t.Parallel()
	term := onTerminal(t, service(t, countsToken), nil, "run", "--python", sdkPython(t), "-d", "{}", "--secret", "api_token")
	term.await(t, "api_token (not shown): ")
	if term.echoes(t) {
		t.Error("the terminal shows typed characters at the secret prompt, want no echo")
	}
	term.enter(t, "canary-4711-value\r")
	term.awaitEnd(t, 0)
	term.await(t, "17 characters")
	if strings.Contains(term.shown.String(), "canary") {
		t.Error("the terminal shows the secret, want it hidden")
	}
	if !term.echoes(t) {
		t.Error("the terminal does not echo after the prompt, want echo restored")
	}
}

func TestSecretPromptCanBeLeft(t *testing.T) {
	t.Parallel()
	term := onTerminal(t, service(t, countsToken), nil, "run", "--python", sdkPython(t), "-d", "{}", "--secret", "api_token")
	term.await(t, "api_token (not shown): ")
	term.enter(t, "canary\x03")
	term.awaitEnd(t, 130)
	term.await(t, "interrupted")
	if strings.Contains(term.shown.String(), "canary") {
		t.Error("the terminal shows the secret, want it hidden")
	}
	if !term.echoes(t) {
		t.Error("the terminal does not echo after the prompt, want echo restored")
	}
}

// Ctrl-C at the terminal reaches the service once, by way of qhubctl.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	const program = `
import time

def run():
    try:
        print("ready", flush=True)
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        print("asked", flush=True)
        raise
`
	term := onTerminal(t, service(t, program), nil, "run", "--python", sdkPython(t), "-d", "{}")
	term.await(t, "ready")
	term.enter(t, "\x03")
	term.awaitEnd(t, 130)
	term.await(t, "interrupted")
	if n := strings.Count(term.shown.String(), "asked"); n != 1 {
		t.Errorf("asked %d times:\n%s", n, term.shown.String())
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		env  []string
		want bool
	}{
		{"a terminal", nil, true},
		{"NO_COLOR", []string{"NO_COLOR=1"}, false},
		{"dumb", []string{"TERM=dumb"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			term := onTerminal(t, t.TempDir(), test.env, "run", "nowhere")
			term.awaitEnd(t, 2)
			term.await(t, "init nowhere")
			if got := strings.Contains(term.shown.String(), "\x1b["); got != test.want {
				t.Errorf("colours: %t, want %t:\n%q", got, test.want, term.shown.String())
			}
		})
	}
}

// TestTerminalTakesNoOrdersOfServices runs a service that writes escape sequences
// wherever it can.
func TestTerminalTakesNoOrdersOfServices(t *testing.T) {
	t.Parallel()
	dir := service(t, "import sys\nprint('out \\x1b]0;title\\x07')\ndef run():\n    print('log \\x1b[2J', file=sys.stderr)\n    return 'result \\x9b31m'\n")
	term := onTerminal(t, dir, nil, "run", "--python", sdkPython(t), "-d", "{}")
	term.awaitEnd(t, 0)
	shown := term.shown.String()
	for _, want := range []string{`out \x1b]0;title\x07`, `log \x1b[2J`, `31m"`} {
		if !strings.Contains(shown, want) {
			t.Errorf("the terminal does not show %q:\n%q", want, shown)
		}
	}
	for _, order := range []string{"\x1b]0;title", "log \x1b[2J", "\u009b31m"} {
		if strings.Contains(shown, order) {
			t.Errorf("the terminal was given %q", order)
		}
	}
}
