package sdk_test

import (
	"go/parser"
	"go/token"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/sdk"
)

func goModule(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := sdk.GoModule()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestGoModuleHasWhatTheTreeHas(t *testing.T) {
	var want []string
	err := filepath.WalkDir("go", func(name string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if filepath.Ext(name) != ".go" && !strings.Contains(filepath.ToSlash(name), "/testdata/") {
			t.Errorf("%s is in the SDK, want only Go files", name)
		}
		if filepath.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") {
			want = append(want, "sdk/"+filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, "README.md", "go.mod")
	var got []string
	for name := range goModule(t) {
		got = append(got, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the module has\n%q\nwant\n%q", got, want)
	}
}

// TestGoSDKNeedsTheStandardLibraryAlone: a service must build without a network, so the SDK
// imports only itself and the standard library.
func TestGoSDKNeedsTheStandardLibraryAlone(t *testing.T) {
	checked := 0
	for name, content := range goModule(t) {
		if filepath.Ext(name) != ".go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, content, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(imported, "/")
			if strings.Contains(first, ".") && !strings.HasPrefix(imported, sdk.GoModulePath+"/sdk/go/") {
				t.Errorf("%s imports %s, want the standard library or the SDK", name, imported)
			}
			checked++
		}
	}
	if checked == 0 {
		t.Fatal("no imports were found, so nothing is proved")
	}
}

// TestGoModuleStandsAlone: services are compiled with the copy, so it must satisfy the
// compiler and vet alone, also with the part behind the experiment's build tag.
func TestGoModuleStandsAlone(t *testing.T) {
	dir := t.TempDir()
	for name, content := range goModule(t) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, experiment := range []string{"", "runtimesecret"} {
		cmd := exec.CommandContext(t.Context(), "go", "vet", "./...")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local", "GOPROXY=off", "GOWORK=off", "GOFLAGS=", "GOEXPERIMENT="+experiment)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go vet with the experiment %q = %v, want success\n%s", experiment, err, out)
		}
	}
}

func TestGoOldestIsWhatTheTreeIsCompiledWith(t *testing.T) {
	root, err := os.ReadFile(filepath.Join("..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(root)) {
		if minimum, ok := strings.CutPrefix(strings.TrimSpace(line), "go "); ok {
			if version.Lang("go"+minimum) != "go"+sdk.GoOldest {
				t.Errorf("go.mod of the project says %s, want %s as in the SDK, which is only compiled as the former", minimum, sdk.GoOldest)
			}
			return
		}
	}
	t.Fatal("go.mod has no go line")
}
