package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/cli"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// curiousProgram looks around while it is imported, and leaves a note of what
// it could do; it tells what it reaches of the network.
const curiousProgram = `
import contextlib
import os
import pathlib
import socket

here = pathlib.Path(__file__).parent.parent
with contextlib.suppress(OSError):  # what it writes is a draft
    (here / "left-by-import").write_text("mine")
for name, look in {
    "wrote": lambda: pathlib.Path("/etc/left-by-import").write_text("mine"),
    "key": lambda: next(here.glob(".qhub/serve/master.key")).read_bytes(),
    "env": lambda: (here / ".env").read_text()[0],
}.items():
    try:
        look()
        raise SystemExit(name)
    except (OSError, StopIteration, IndexError):  # what is hidden may be there, and empty
        pass


def run(port: int) -> dict:
    try:
        found = {"interfaces": " ".join(name for _, name in socket.if_nameindex())}
    except OSError:
        found = {"interfaces": ""}
    for name, address in {"server": ("127.0.0.1", port)}.items():
        try:
            socket.create_connection(address, 5).close()
            found[name] = "reached"
        except OSError as error:
            found[name] = type(error).__name__
    return found
`

func curious(t *testing.T, settings string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"src/__init__.py": "", "src/program.py": curiousProgram, ".env": "SECRET_API_TOKEN=secret\n", "qhubctl.toml": settings,
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func needLayers(t *testing.T, names ...string) {
	t.Helper()
	machine := sandbox.Detect(sandbox.Options{})
	defer machine.Close()
	for _, name := range names {
		if !slices.ContainsFunc(machine.Layers(), func(l sandbox.Layer) bool { return l.Name == name && l.Held }) {
			t.Skip("this machine does not give: " + name)
		}
	}
}

// TestServeNetwork serves a service whose import could not do what it tried,
// and which reaches what it may of the network: by the workspace, by the
// server, by the stricter of both.
func TestServeNetwork(t *testing.T) {
	needLayers(t, "filesystem", "network")
	for name, test := range map[string]struct {
		settings string
		flags    []string
		want     []string
	}{
		"full":              {"", nil, []string{`"server":"reached"`}},
		"of the workspace":  {`network = "none"`, nil, []string{`"interfaces":""`, `"server":"OSError"`}},
		"of the server":     {"", []string{"--network", "loopback"}, []string{`"interfaces":"lo"`, `"server":"ConnectionRefusedError"`}},
		"the stricter":      {`network = "loopback"`, []string{"--network", "none"}, []string{`"server":"OSError"`}},
		"the stricter, too": {`network = "none"`, []string{"--network", "full"}, []string{`"server":"OSError"`}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := curious(t, test.settings)
			s := serve(t, dir, test.flags...)
			if _, err := os.Stat(filepath.Join(dir, "left-by-import")); err == nil {
				t.Error("the import has written into the workspace")
			}
			port := s.url[strings.LastIndexByte(s.url, ':')+1:]
			out, errs, code := s.qhubctl("executions", "start", "-d", `{"port": `+port+`}`, "--wait")
			for _, want := range test.want {
				if code != 0 || !strings.Contains(strings.ReplaceAll(out, " ", ""), want) {
					t.Errorf("exit code %d: %s%s", code, out, errs)
				}
			}
		})
	}
}

func TestWrongSandboxFlags(t *testing.T) {
	for want, flags := range map[string][]string{
		`--network is "half"`:                        {"--network", "half"},
		"--network none and --no-sandbox contradict": {"--network", "none", "--no-sandbox"},
		`--execution-users is "200000"`:              {"--execution-users", "200000"},
		`--execution-users is "0-65535"`:             {"--execution-users", "0-65535"},
		`--execution-users is "300000-300255"`:       {"--execution-users", "300000-300255"},
	} {
		var errs testenv.Buffer
		code := cli.Run(t.Context(), append([]string{"serve"}, flags...), &term.Streams{In: strings.NewReader(""), Out: &errs, Err: &errs})
		if code != 2 || !strings.Contains(errs.String(), want) {
			t.Errorf("%q: exit code %d: %s", flags, code, errs.String())
		}
	}
}
