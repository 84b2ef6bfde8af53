package leak_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// newLibraries is the workspace of a service that has libraries print its secret.
func newLibraries(t *testing.T) *workspace {
	t.Helper()
	wheel, err := runnertest.SDKWheel()
	if err != nil {
		t.Fatal(err)
	}
	venv, err := testenv.Venv("libraries", append([]string{wheel}, redacttest.Libraries...)...)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkspace(t, program(t), ours, true, nil)
	w.flags = []string{"--python", testenv.Program(venv, "python")}
	write(t, filepath.Join(w.dir, "src", "program.py"), read(t, filepath.Join("testdata", "libraries", "program.py")))
	write(t, filepath.Join(w.dir, "src", "printers.py"), read(t, redacttest.PrintersPath))
	return &w
}

// withoutHeads leaves out the time and the severity that a log has before each line.
func withoutHeads(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if at, rest, ok := strings.Cut(line, "Z "); ok && len(at) == len("2026-01-02T15:04:05") && at[4] == '-' && at[10] == 'T' {
			_, lines[i], _ = strings.Cut(rest, " ")
		}
	}
	return strings.Join(lines, "\n")
}

// checkPrinted checks that a text is masked, section by section, and that libraries have
// printed something in most of them.
func checkPrinted(t *testing.T, place, text string, s redacttest.PrintedSecret) {
	t.Helper()
	masked := 0
	for title, section := range redacttest.Sections(withoutHeads(text)) {
		if left := redacttest.FindStretch(section, s.Shown); left != "" {
			t.Errorf("%s, %s leaves %s", place, title, left)
		}
		if strings.Contains(section, "[redacted]") {
			masked++
		}
	}
	if masked < 10 {
		t.Errorf("%s of the secret %s is masked for %d libraries, want at least 10\n%.2000s", place, s.Name, masked, text)
	}
}

// printedRequest is the body of a request.
func printedRequest(t *testing.T, s redacttest.PrintedSecret, raises string) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"name": s.Name, "raises": raises, "$secrets": map[string]string{"secret": s.Value}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestLibrariesInRun has the libraries print secrets under `qhubctl run`.
func TestLibrariesInRun(t *testing.T) {
	testenv.NeedEverything(t)
	t.Parallel()
	w := newLibraries(t)
	for _, s := range redacttest.PrintedSecrets() {
		given, out := filepath.Join(t.TempDir(), "request.json"), filepath.Join(t.TempDir(), "out")
		write(t, given, string(printedRequest(t, s, "")))
		command := w.command(t, append([]string{"run", w.dir, "-d", "@" + given, "--output-dir", out, "--output", "json"}, w.flags...)...)
		var stdout, stderr strings.Builder
		command.Stdout, command.Stderr = &stdout, &stderr
		if err := command.Run(); err != nil {
			t.Fatalf("run = %v, want success\n%.3000s", err, stderr.String())
		}
		checkPrinted(t, "the log of run", stderr.String(), s)
		checkPrinted(t, "the result of run", decoded(t, stdout.String()), s)
		checkPrinted(t, "the file of run", filesBelow(t, out)["printed.txt"], s)
	}
}

// decoded are all texts of a JSON document.
func decoded(t *testing.T, document string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(document), &value); err != nil {
		t.Errorf("the result is %.1000s (%v), want JSON", document, err)
	}
	return strings.Join(texts(value), "\n")
}

// TestLibrariesInServe has the libraries print and raise secrets under `qhubctl serve`.
func TestLibrariesInServe(t *testing.T) {
	testenv.NeedEverything(t)
	t.Parallel()
	w := newLibraries(t)
	args := append([]string{"serve", w.dir, "--port", "0", "--verbose", "--no-reload"}, w.flags...)
	server := serve(t, w.command(t, args...), newFindings(nil))
	server.await("the service starts warm")
	cases := regexp.MustCompile(`(?m)^@printed\ndef (\w+)`).FindAllStringSubmatch(read(t, redacttest.PrintersPath), -1)
	if len(cases) < 15 {
		t.Fatalf("the program has %d functions, want at least 15", len(cases))
	}
	secrets := redacttest.PrintedSecrets()
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, 4)
	for _, s := range secrets {
		for _, raises := range append([][]string{{"", ""}}, cases...) {
			places <- struct{}{}
			all.Go(func() {
				defer func() { <-places }()
				server.checkLibrary(t, s, raises[1])
			})
		}
	}
}

// checkLibrary has all libraries print a secret, or one print it and raise an error.
func (s *server) checkLibrary(t *testing.T, secret redacttest.PrintedSecret, raises string) {
	t.Helper()
	a := s.request(http.MethodPost, "/", "", printedRequest(t, secret, raises))
	var e struct{ ID string }
	if err := json.Unmarshal(a.body, &e); err != nil || a.status != http.StatusCreated {
		t.Errorf("an execution is answered %d %s, want 201", a.status, a.body)
		return
	}
	ended := string(s.get("/"+e.ID+"?wait=60s", "").body)
	result := string(s.get("/"+e.ID+"/result", "").body)
	texts := map[string]string{"the log": string(s.get("/"+e.ID+"/log", "text/plain").body), "the result": decoded(t, result)}
	if raises != "" {
		for place, text := range texts {
			if left := redacttest.FindStretch(text, secret.Shown); left != "" {
				t.Errorf("%s of %s with the secret %s leaves %s", place, raises, secret.Name, left)
			}
		}
		return
	}
	if !strings.Contains(ended, `"SUCCEEDED"`) {
		t.Errorf("the execution is %s, want SUCCEEDED\n%.3000s", ended, texts["the log"])
	}
	texts["the file"] = string(s.get("/"+e.ID+"/result/printed.txt", "").body)
	for place, text := range texts {
		checkPrinted(t, place+" of serve", text, secret)
	}
}
