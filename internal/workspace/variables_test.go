package workspace_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/workspace"
)

func TestVariables(t *testing.T) {
	t.Setenv("PASSED", "passed")
	t.Setenv("EMPTY", "")
	for _, file := range []struct{ name, head string }{{"pyproject.toml", "[tool.qhubctl]\n"}, {"qhubctl.toml", ""}} {
		dir := newService(t)
		write(t, file.head+`env = ["PASSED", "MODE=a=b", "EMPTY", "UNSET", "NOTHING="]`+"\n", dir, file.name)
		want := map[string]string{"PASSED": "passed", "MODE": "a=b", "EMPTY": "", "NOTHING": ""}
		if got := open(t, dir).Variables(); !maps.Equal(got, want) {
			t.Errorf("variables by %s: %v, want %v", file.name, got, want)
		}
		const value = "not-to-be-repeated"
		for entry, want := range map[string]string{
			`"SECRET_X=` + value + `"`: "SECRET_X is the name of a secret", `"SECRET_X"`: "SECRET_X is the name of a secret",
			`"QHUBCTL_TOKEN"`: "QHUBCTL_TOKEN is the name of a secret", `"HOME=` + value + `"`: "HOME is set by qhubctl",
			`"KQH_X"`: "KQH_X is set by qhubctl", `"INPUT_DIRECTORY"`: "INPUT_DIRECTORY is set by qhubctl",
			`"=` + value + `"`: "entry 1 has no name", `"A B=` + value + `"`: "entry 1 has no name", `""`: "entry 1 has no name", `3`: "entry 1 has no name",
			`"A", "1A"`: "entry 2 has no name", `"A=\u0000` + value + `"`: "A has a value with a NUL",
		} {
			dir := newService(t)
			write(t, file.head+"env = ["+entry+"]\n", dir, file.name)
			_, err := workspace.Open(dir)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), value) {
				t.Errorf("env = [%s] in %s: %v, want %q and no value", entry, file.name, err, want)
			}
		}
		write(t, file.head+"env = \"A\"\n", dir, file.name)
		if _, err := workspace.Open(dir); err == nil || !strings.Contains(err.Error(), "env is no list") {
			t.Errorf("env = \"A\" in %s: %v, want that it is no list", file.name, err)
		}
	}
}
