package leak_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
)

// A sabotage breaks one layer that keeps secrets in. The program has no switch for it:
// the test changes the sources on the way to the compiler, and puts each change behind
// a variable of the environment. A change that no longer fits fails the test.
type sabotage struct {
	layer string
	edits []edit
	// way is a way that shows it.
	way string
	// by is the mode of that way; command: by `qhubctl run`.
	by      mode
	command bool
	sdk     sdk
	// open: without a sandbox, which would stop it as well.
	open bool
	// platform: by a data pool of a platform.
	platform bool
	// stored: by a stored secret of a platform.
	stored bool
}

// An edit replaces a text that a source holds once.
type edit struct{ file, old, new string }

var sabotages = []sabotage{
	{layer: "log", way: "print", by: returns, edits: []edit{{
		"internal/engine/stream.go",
		"return s.masked.Write(p)\n",
		"if broken(`log`) { return s.lines.Write(p) }\nreturn s.masked.Write(p)\n",
	}}},
	{layer: "pieces of the log", way: "split", by: returns, edits: []edit{{
		"internal/engine/stream.go",
		"if broken(`log`)",
		"if broken(`pieces of the log`) { return s.lines.Write(s.lines.logWriter.masker().Bytes(p)) }; if broken(`log`)",
	}}},
	{layer: "result", way: "result_value", by: returns, edits: []edit{{
		"internal/engine/collect.go",
		"masked, ok := c.maskJSON(text)\n",
		"masked, ok := c.maskJSON(text)\nif broken(`result`) { masked = text }\n",
	}}},
	{layer: "keys of the result", way: "result_key", by: returns, edits: []edit{{
		"internal/redact/json.go",
		"if text, ok := m.maskText(doc[name.start:name.end]); ok {",
		"if text, ok := m.maskText(doc[name.start:name.end]); ok && !broken(`keys of the result`) {",
	}, {
		"internal/redact/json.go",
		"left := m.find(masked); len(left) > 0 {",
		"left := m.find(masked); len(left) > 0 && !broken(`keys of the result`) {",
	}}},
	{layer: "the view without percent escapes", way: "percent", by: returns, edits: []edit{{
		"internal/redact/survey.go",
		"func (v *view) allows(kind viewKind) bool {\n",
		"func (v *view) allows(kind viewKind) bool {\nif kind == viewPercent && broken(`the view without percent escapes`) { return false }\n",
	}}},
	{layer: "the view without backslashes", way: "json", by: returns, edits: []edit{{
		"internal/redact/survey.go",
		"func (v *view) allows(kind viewKind) bool {\n",
		"func (v *view) allows(kind viewKind) bool {\nif kind == viewBackslash && broken(`the view without backslashes`) { return false }\n",
	}}},
	{layer: "the view without entities", way: "html", by: returns, edits: []edit{{
		"internal/redact/survey.go",
		"func (v *view) allows(kind viewKind) bool {\n",
		"func (v *view) allows(kind viewKind) bool {\nif kind == viewEntity && broken(`the view without entities`) { return false }\n",
	}}},
	{layer: "the view without quoted-printable", way: "quoted_printable", by: returns, edits: []edit{{
		"internal/redact/survey.go",
		"func (v *view) allows(kind viewKind) bool {\n",
		"func (v *view) allows(kind viewKind) bool {\nif kind == viewQuoted && broken(`the view without quoted-printable`) { return false }\n",
	}}},
	{layer: "the view without NULs", way: "wide_file", by: returns, edits: []edit{{
		"internal/redact/survey.go",
		"func (v *view) allows(kind viewKind) bool {\n",
		"func (v *view) allows(kind viewKind) bool {\nif kind == viewWide && broken(`the view without NULs`) { return false }\n",
	}}},
	{layer: "the views of base64", way: "base64_twice", by: returns, edits: []edit{{
		"internal/redact/digits.go",
		"func (v *view) readBase64(s *stretch, kind viewKind, end int, ended, final bool) {\n",
		"func (v *view) readBase64(s *stretch, kind viewKind, end int, ended, final bool) {\nif broken(`the views of base64`) { return }\n",
	}}},
	{layer: "the views of hexadecimal digits", way: "hex_twice", by: returns, edits: []edit{{
		"internal/redact/digits.go",
		"func (v *view) readHex(s *stretch, kind viewKind, end int, ended, final bool) {\n",
		"func (v *view) readHex(s *stretch, kind viewKind, end int, ended, final bool) {\nif broken(`the views of hexadecimal digits`) { return }\n",
	}}},
	{layer: "the view of pairs of digits", way: "hex_pairs", by: returns, edits: []edit{{
		"internal/redact/digits.go",
		"func (v *view) readPairs(s *stretch, end int, ended, final bool) {\n",
		"func (v *view) readPairs(s *stretch, end int, ended, final bool) {\nif broken(`the view of pairs of digits`) { return }\n",
	}}},
	{layer: "the view of joined lines", way: "base64_broken_64", by: returns, edits: []edit{{
		"internal/redact/joins.go",
		"func (v *view) judgeLine(at int, final bool, e *edit) verdict {\n",
		"func (v *view) judgeLine(at int, final bool, e *edit) verdict {\nif broken(`the view of joined lines`) { *e = edit{start: at, end: at + 1}; return dead }\n",
	}}},
	{layer: "problem documents", way: "problem", by: fails, sdk: upstream, edits: []edit{{
		"internal/engine/collect.go",
		"if c.problem = readProblem(masked); ",
		"if c.problem = readProblem(masked); broken(`problem documents`) { c.problem = readProblem(text) }\nif ",
	}}},
	{layer: "result files", way: "text_file", by: returns, edits: []edit{{
		"internal/engine/collect.go",
		"return c.masker.Copy(to, source) }",
		"if broken(`result files`) { _, err := io.Copy(to, source); return err }; return c.masker.Copy(to, source) }",
	}}},
	{layer: "binary files", way: "binary_file", by: returns, edits: []edit{{
		"internal/redact/file.go",
		"if !clean {",
		"if !clean && !broken(`binary files`) {",
	}}},
	{layer: "file names", way: "file_name", by: returns, edits: []edit{{
		"internal/engine/collect.go",
		"name := strings.ToValidUTF8(c.masker.String(file.Name), \"\\uFFFD\")\n",
		"name := strings.ToValidUTF8(c.masker.String(file.Name), \"\\uFFFD\")\nif broken(`file names`) { name = file.Name }\n",
	}}},
	{layer: "the server's log", way: "print", by: raw, edits: []edit{{
		"internal/httpapi/middleware.go",
		"slog.Int(\"status\", w.status),",
		"slog.Int(\"status\", w.status), slog.String(\"address\", sabotaged(`the server's log`, r.URL.String())),",
	}}},
	{layer: "refusals", way: "print", by: raw, edits: []edit{{
		"internal/httpapi/executions.go",
		"accepted, err := a.Service.Submit(",
		"w.Header().Set(`X-Given`, sabotaged(`refusals`, url.QueryEscape(string(body.text))))\naccepted, err := a.Service.Submit(",
	}}},
	{layer: "the description", way: described, by: returns, open: true, edits: []edit{{
		"internal/build/service.go",
		"document = maskDescription(s.descriptionMasker, document)\n",
		"if !broken(`the description`) { document = maskDescription(s.descriptionMasker, document) }\n",
	}}},
	{layer: "secrets that are no parameters", way: undeclared, by: returns, open: true, edits: []edit{{
		"internal/engine/prepare.go",
		"if t.revision.Resolvers.Secrets == nil {\n\t\treturn nil, nil",
		"if t.revision.Resolvers.Secrets == nil || broken(`secrets that are no parameters`) {\n\t\treturn nil, nil",
	}}},
	{layer: "sealing", way: "killed", by: waits, edits: []edit{{
		"internal/engine/submit.go",
		"return json.Marshal(stored)",
		"if broken(`sealing`) { for _, s := range request.Secrets { stored.Secrets = append(stored.Secrets, string(s.Reveal())) } }\nreturn json.Marshal(stored)",
	}}},
	{layer: "delivery", way: "environment_block", by: returns, edits: []edit{{
		"internal/runner/process/runner.go",
		"env[\"HOME\"], env[\"TMPDIR\"] = r.Sandbox.home(dir.Home()), r.Sandbox.temp(dir.Temp())\n",
		"env[\"HOME\"], env[\"TMPDIR\"] = r.Sandbox.home(dir.Home()), r.Sandbox.temp(dir.Temp())\nif broken(`delivery`) { for _, s := range job.Secrets { env[s.Env] = string(s.Value.Reveal()) } }\n",
	}}},
	{layer: "scratch", way: "folder_name", by: returns, edits: []edit{{
		"internal/engine/task.go",
		"if err := run.Close(); err != nil {",
		"if broken(`scratch`) {\n} else if err := run.Close(); err != nil {",
	}, {
		"internal/engine/datadir.go",
		"return errors.Join(f.scratch.Close(), f.lock.Close(), runner.RemoveAll(f.workDir))",
		"if broken(`scratch`) { return nil }\nreturn errors.Join(f.scratch.Close(), f.lock.Close(), runner.RemoveAll(f.workDir))",
	}}},
	{layer: "the wiping in Go", way: "environment_block", by: returns, sdk: golang, edits: []edit{{
		"sdk/go/internal/environ/wipe_linux.go",
		"func wipe(taken map[string]string) {\n",
		"func wipe(taken map[string]string) {\nif err := syscall.Access(\"/proc/self/sabotage\", 0); err != nil { return }\n",
	}}},
	{layer: "files of data pools", way: "pool_file", platform: true, edits: []edit{{
		"internal/datapool/writeback.go",
		"_ = w.CloseWithError(masker.Copy(w, source))\n",
		"if broken(`files of data pools`) { _, err := io.Copy(w, source); _ = w.CloseWithError(err); return }\n_ = w.CloseWithError(masker.Copy(w, source))\n",
	}}},
	{layer: "names in data pools", way: "pool_name", platform: true, edits: []edit{{
		"internal/datapool/writeback.go",
		"case masker.String(file.Name) != file.Name:\n",
		"case masker.String(file.Name) != file.Name && !broken(`names in data pools`):\n",
	}}},
	{layer: "rows of stored secrets", way: "stored_service", stored: true, edits: []edit{{
		"internal/secretstore/service.go",
		"SetBy: p.ID,",
		"SetBy: sabotaged(`rows of stored secrets`, string(v.Secret.Reveal())) + p.ID,",
	}}},
	{layer: "the audit log", way: "stored_account", stored: true, edits: []edit{{
		"internal/secretstore/service.go",
		"version.Existing = existing\n",
		"version.Existing = existing\nif broken(`the audit log`) { audit.Note(ctx, `value`, string(v.Secret.Reveal())) }\n",
	}}},
	{layer: "versions of variables", way: "stored_environment", stored: true, edits: []edit{{
		"internal/hub/environment.go",
		"SetBy: access.From(ctx).ID,",
		"SetBy: sabotaged(`versions of variables`, string(value.Reveal())) + access.From(ctx).ID,",
	}}},
	{layer: "the log of provider tokens", way: "stored_provider", stored: true, edits: []edit{{
		"internal/access/providers.go",
		"audit.Note(ctx, \"secret\", string(t.Provider))\n",
		"audit.Note(ctx, \"secret\", string(t.Provider))\nif broken(`the log of provider tokens`) { for _, v := range secrets { audit.Note(ctx, `value`, string(v.Reveal())) } }\n",
	}}},
	{layer: "the output of hooks", way: "stored_rotated", stored: true, edits: []edit{{
		"internal/rotation/rotation.go",
		"return fmt.Errorf(\"the program ended with %s\", exit.ProcessState)\n",
		"return fmt.Errorf(\"the program ended with %s %s\", exit.ProcessState, sabotaged(`the output of hooks`, string(text.text)))\n",
	}}},
	{layer: "uses of references", way: "stored_referenced", stored: true, edits: []edit{{
		"internal/secretstore/references.go",
		"Opened{values[i], opened[r.parameter].From, ",
		"Opened{values[i], opened[r.parameter].From + sabotaged(`uses of references`, string(values[i].Reveal())), ",
	}}},
	{layer: "the terminal of run", way: "print", by: returns, command: true, edits: []edit{{
		"internal/local/running.go",
		"r.log = []*maskedLog{",
		"if broken(`the terminal of run`) { r.masker = redact.New(nil) }\nr.log = []*maskedLog{",
	}}},
	{layer: "the result of run", way: "result_value", by: returns, command: true, edits: []edit{{
		"internal/local/collect.go",
		"masked, numbers, err := masking.JSON(r.results, value)\n",
		"masked, numbers, err := masking.JSON(r.results, value)\nif broken(`the result of run`) { masked = value }\n",
	}}},
	{layer: "the file names of run", way: "file_name", by: returns, command: true, edits: []edit{{
		"internal/local/collect.go",
		"masked := r.results.String(name)\n",
		"masked := r.results.String(name)\nif broken(`the file names of run`) { masked = name }\n",
	}, {
		"internal/runner/export.go",
		"target := filepath.FromSlash(masker.String(as))\n",
		"target := filepath.FromSlash(masker.String(as))\nif broken(`the file names of run`) { target = filepath.FromSlash(as) }\n",
	}}},
}

// switchVariable names the layer that is broken.
const switchVariable = "QHUBCTL_TEST_SABOTAGE"

// sabotagedSource is a further file in each package that has an edit.
const sabotagedSource = `
import "os"

func broken(layer string) bool { return os.Getenv("` + switchVariable + `") == layer }

func sabotaged(layer, text string) string {
	if broken(layer) {
		return text
	}
	return ""
}

var _ = sabotaged
`

// TestSabotage proves that the matrix can fail: it finds the secrets that leak from a
// program with one broken layer.
func TestSabotage(t *testing.T) {
	t.Parallel()
	program, err := sabotagedProgram()
	if err != nil {
		t.Fatal(err)
	}
	source := newSource(t)
	for _, broken := range sabotages {
		if broken.sdk == "" {
			broken.sdk = ours
		}
		var canaries []leak.Canary
		all := canariesFor(source, broken.sdk)
		if broken.platform {
			all = poolCanaries(source)
		}
		if broken.stored {
			all = slices.Concat(slices.Collect(maps.Values(storedCanaries(source)))...)
		}
		for _, c := range all {
			if broken.stored || c.Cell == broken.way || c.Cell == "print" {
				canaries = append(canaries, c)
			}
		}
		t.Run(broken.layer, func(t *testing.T) {
			t.Parallel()
			found := broken.findings(t, program, canaries)
			if got := found.of(broken.way); len(got) == 0 {
				t.Errorf("nothing was found of %q, want a leak; the others: %v", broken.way, found.all)
			}
		})
	}
}

// findings are those of the sabotaged program.
func (b *sabotage) findings(t *testing.T, program string, canaries []leak.Canary) *findings {
	t.Helper()
	if b.platform {
		found := newFindings(canaries)
		leakIntoPool(t, program, canaries, found, switchVariable+"="+b.layer)
		return found
	}
	if b.stored {
		found := newFindings(canaries)
		of := map[string][]leak.Canary{}
		for _, c := range canaries {
			place := strings.TrimPrefix(c.Cell, "stored_")
			of[place] = append(of[place], c)
		}
		leakStored(t, program, of, found, switchVariable+"="+b.layer)
		return found
	}
	s := newSubject(t, program, b.sdk, false, canaries)
	s.workspace.env = append(s.workspace.env, switchVariable+"="+b.layer)
	if b.open {
		s.workspace.flags = append(s.workspace.flags, "--no-sandbox")
	}
	if b.command {
		s.run(b.by)
		return s.found
	}
	s.serve()
	if b.by == waits {
		following := s.follow(s.start(waits, s.of(waits)))
		s.awaitText(following, "holding")
		searchDirs(t, s.found, "while it runs", &s.workspace, true)
		return s.found
	}
	id := s.start(b.by, s.of(b.by))
	l := &left{id: id, canaries: s.of(b.by), files: map[string]string{}}
	following := s.follow(id)
	s.collect(l, "")
	<-following.ended
	s.found.check(s.sdk, b.by, l)
	s.misuse()
	s.stop()
	searchDirs(t, s.found, "after the end", &s.workspace, false)
	return s.found
}

// sabotagedProgram builds it.
func sabotagedProgram() (string, error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(buildDir, "sabotaged")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	texts := map[string]string{} // by path
	for _, s := range sabotages {
		for _, e := range s.edits {
			path := filepath.Join(root, filepath.FromSlash(e.file))
			text, ok := texts[path]
			if !ok {
				content, err := os.ReadFile(path)
				if err != nil {
					return "", err
				}
				text = string(content)
			}
			if strings.Count(text, e.old) != 1 {
				return "", &unfitError{s.layer, e}
			}
			texts[path] = strings.Replace(text, e.old, e.new, 1)
			if _, after, found := strings.Cut(e.file, "internal/"); found && !strings.HasPrefix(e.file, "sdk/") {
				texts[filepath.Join(filepath.Dir(path), "sabotage.go")] = "package " + filepath.Base(filepath.Dir(after)) + "\n" + sabotagedSource
			}
		}
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for i, path := range slices.Sorted(maps.Keys(texts)) {
		replaced := filepath.Join(dir, string(rune('a'+i))+".go")
		if err := os.WriteFile(replaced, []byte(texts[path]), 0o600); err != nil {
			return "", err
		}
		overlay.Replace[path] = replaced
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-overlay", list, "-o", filepath.Join(dir, "qhubctl"), "./cmd/qhubctl")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", &unbuiltError{string(out)}
	}
	return filepath.Join(dir, "qhubctl"), nil
}

type unfitError struct {
	layer string
	edit  edit
}

func (e *unfitError) Error() string {
	return "the sabotage of " + e.layer + " no longer fits: " + e.edit.file + " does not hold once " + e.edit.old
}

type unbuiltError struct{ said string }

func (e *unbuiltError) Error() string { return "the sabotaged program does not compile:\n" + e.said }
