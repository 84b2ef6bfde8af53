package environ_test

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// mode makes the test binary print an environment instead: see TestMain.
const mode = "ENVIRON_TEST_MODE"

func TestMain(m *testing.M) {
	switch os.Getenv(mode) {
	case "hide":
		showHidden()
	case "show":
		_, _ = os.Stdout.WriteString(strings.Join(os.Environ(), "\n"))
	default:
		os.Exit(m.Run())
	}
}

// showHidden prints the environment that the kernel shows after Hide, and the
// variables that this process and a child still have.
func showHidden() {
	if err := environ.Hide(); err != nil {
		_, _ = os.Stdout.WriteString(err.Error())
	}
	block, _ := os.ReadFile("/proc/self/environ")
	child, _ := exec.Command("/bin/echo", "still", os.Getenv("PLAIN")).Output()
	_, _ = os.Stdout.Write(append(block, child...))
}

func TestHideLeavesNamesOnly(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a process change the environment that the system shows")
	}
	command := exec.CommandContext(t.Context(), "/proc/self/exe")
	command.Env = []string{
		mode + "=hide", "SECRET_X=value=1", "EMPTY=", "PLAIN=plain text", "AWS_SECRET_ACCESS_KEY=value2", "QHUBCTL_EXECUTION=tag", "LAST=l\n",
	}
	got, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("the program under test failed: %v, want success\n%s", err, got)
	}
	var want bytes.Buffer
	for _, entry := range command.Env {
		if !strings.HasPrefix(entry, "QHUBCTL_EXECUTION=") {
			name, value, _ := strings.Cut(entry, "=")
			entry = name + "=" + strings.Repeat("\x00", len(value))
		}
		want.WriteString(entry + "\x00")
	}
	want.WriteString("still plain text\n")
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("after Hide the process shows\n%q, want\n%q", got, want.Bytes())
	}
}

func TestIsSecret(t *testing.T) {
	t.Setenv("ENVIRON_TEST_SET", "x")
	environ.MarkSecret("ENVIRON_TEST_MARKED")
	if value, ok := environ.LookupSecret("ENVIRON_TEST_SET"); value != "x" || !ok {
		t.Errorf("LookupSecret(set) = %q, %v, want x, true", value, ok)
	}
	if _, ok := environ.LookupSecret("ENVIRON_TEST_UNSET"); ok {
		t.Error("LookupSecret(unset) found a value")
	}
	for name, want := range map[string]bool{
		"SECRET_": true, "SECRET_X": true, "QHUBCTL_TOKEN": true, vault.EnvironmentVariable: true,
		"ENVIRON_TEST_MARKED": true, "ENVIRON_TEST_SET": true, "ENVIRON_TEST_UNSET": true,
		"PATH": false, "MY_SECRET_X": false, "PIP_INDEX_URL": false, "QHUBCTL_URL": false, "ENVIRON_TEST_MARKED_NOT": false,
	} {
		if got := environ.IsSecret(name); got != want {
			t.Errorf("IsSecret(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestCommandGetsNoSecrets(t *testing.T) {
	for _, name := range []string{"SECRET_X", "QHUBCTL_TOKEN", vault.EnvironmentVariable, "ENVIRON_TEST_NAMED"} {
		t.Setenv(name, "not-to-be-passed")
	}
	t.Setenv("PIP_INDEX_URL", "passed")
	t.Setenv(mode, "show")
	environ.MarkSecret("ENVIRON_TEST_NAMED")
	got, err := environ.Command(t.Context(), "/proc/self/exe").Output()
	if err != nil {
		t.Fatalf("Command(self).Output() = %v, want nil", err)
	}
	if strings.Contains(string(got), "not-to-be-passed") {
		t.Errorf("the program was given %q, want no secret", got)
	}
	if !slices.Contains(strings.Split(string(got), "\n"), "PIP_INDEX_URL=passed") {
		t.Errorf("the program was given %q, want PIP_INDEX_URL", got)
	}
}
