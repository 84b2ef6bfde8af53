package sdk

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// versionForm is the version of the SDK: that of the upstream packages whose contract it
// keeps, and our number.
var versionForm = regexp.MustCompile(`^1\.2\.2\+qhubctl\.[1-9]\d*$`)

func TestVersion(t *testing.T) {
	version, err := PythonVersion()
	if err != nil || !versionForm.MatchString(version) {
		t.Errorf("the version is %q (%v), want the form %s", version, err, versionForm)
	}
	wheel, err := PythonWheel()
	if err != nil {
		t.Fatal(err)
	}
	if want := "qhub_commons-" + version + "-py3-none-any.whl"; wheel.Version != version || wheel.Name != want {
		t.Errorf("the wheel is %s of version %s, want %s", wheel.Name, wheel.Version, want)
	}
}

// TestEmbeddedTree: the files in the wheel are the files in the source tree, packages and
// all, without the caches of interpreters.
func TestEmbeddedTree(t *testing.T) {
	files, err := pythonFiles()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join("python", "src")
	on := 0
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "__pycache__" || strings.HasSuffix(entry.Name(), ".egg-info")) {
			return fs.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) == ".pyc" {
			return nil
		}
		on++
		content, err := os.ReadFile(name)
		relative := filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator)))
		if !bytes.Equal(files[relative], content) {
			t.Errorf("the embedded %s differs, want it as in the source tree", relative)
		}
		return err
	})
	if err != nil || on != len(files) || on == 0 {
		t.Errorf("%d files are embedded, want the %d of the tree (%v)", len(files), on, err)
	}
	for name := range files {
		if strings.Contains(name, "__pycache__") || path.Ext(name) != ".py" && path.Base(name) != "py.typed" {
			t.Errorf("%s is in the wheel, want only sources", name)
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			_, isPackage := files[dir+"/__init__.py"]
			if namespace := dir == "qhub"; isPackage == namespace {
				t.Errorf("%s/__init__.py exists: %t, want a namespace for qhub alone", dir, isPackage)
			}
		}
	}
}

// TestWheelIsDeterministic: lock files pin the hash of the wheel, so the same program must
// always make the same bytes.
func TestWheelIsDeterministic(t *testing.T) {
	one, err := buildWheel()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		other, err := buildWheel()
		if err != nil || !bytes.Equal(one.Content, other.Content) {
			t.Fatalf("two wheels of one program differ (%v), want the same bytes", err)
		}
	}
}

// TestRecord: RECORD names every file of the wheel with its hash and size, and no other.
func TestRecord(t *testing.T) {
	files := unzip(t)
	info := "qhub_commons-" + mustVersion(t) + ".dist-info/"
	rows, err := csv.NewReader(bytes.NewReader(files[info+"RECORD"])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, row := range rows {
		named[row[0]] = true
		content, ok := files[row[0]]
		sum := sha256.Sum256(content)
		want := []string{row[0], "sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]), strconv.Itoa(len(content))}
		if row[0] == info+"RECORD" {
			want = []string{row[0], "", ""}
		}
		if !ok || strings.Join(row, ",") != strings.Join(want, ",") {
			t.Errorf("RECORD says %v, want %v", row, want)
		}
	}
	for name := range files {
		if !named[name] {
			t.Errorf("RECORD lacks %s, want every file", name)
		}
	}
	for _, name := range []string{info + "METADATA", info + "WHEEL", "qhub/commons/secret.py", "qhub/commons/py.typed"} {
		if len(files[name]) == 0 && name != "qhub/commons/py.typed" || !named[name] {
			t.Errorf("the wheel has no %s, want it", name)
		}
	}
	if metadata := string(files[info+"METADATA"]); !strings.Contains(metadata, "\nVersion: "+mustVersion(t)+"\n") || !strings.Contains(metadata, "\nRequires-Dist: pydantic>=2.5\n") {
		t.Errorf("METADATA is\n%.400s\nwant the version and pydantic", metadata)
	}
}

// TestWheelCanBeStreamed: installers that read an archive as a stream must know the size of
// an entry before it.
func TestWheelCanBeStreamed(t *testing.T) {
	wheel, err := PythonWheel()
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(wheel.Content), int64(len(wheel.Content)))
	if err != nil {
		t.Fatal(err)
	}
	const sizeFollows = 0x8
	for _, f := range r.File {
		if f.Flags&sizeFollows != 0 {
			t.Errorf("the size of %s stands after it, want it before", f.Name)
		}
		if f.Modified.Year() != 2020 {
			t.Errorf("%s is of %s, want 2020", f.Name, f.Modified)
		}
	}
}

func mustVersion(t *testing.T) string {
	t.Helper()
	version, err := PythonVersion()
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func unzip(t *testing.T) map[string][]byte {
	t.Helper()
	wheel, err := PythonWheel()
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(wheel.Content), int64(len(wheel.Content)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range r.File {
		entry, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(entry)
		if err != nil {
			t.Fatalf("reading %s: %v, want nil", f.Name, err)
		}
		if files[f.Name] != nil {
			t.Errorf("%s is in the wheel twice, want it once", f.Name)
		}
		files[f.Name] = content
	}
	return files
}

// released holds the version of the SDK and the hash of its wheel, as
// "version sha256". A line stands for bytes that lock files may have pinned.
const released = "testdata/wheel.sum"

// TestContentChangesWithVersion: the number of the version rises with the content, because
// other bytes under the same version would break every lock file that has it.
func TestContentChangesWithVersion(t *testing.T) {
	wheel, err := PythonWheel()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(wheel.Content)
	now := fmt.Sprintf("%s %s", wheel.Version, hex.EncodeToString(sum[:]))
	text, err := os.ReadFile(filepath.FromSlash(released))
	if err != nil {
		t.Fatal(err)
	}
	if noted := strings.TrimSpace(string(text)); noted != now {
		t.Errorf(`the Python SDK differs from sdk/%s, want the recorded sum.
If you have changed it, raise N of the version 1.2.2+qhubctl.N in sdk/python/pyproject.toml, then put the new line there.
there: %s
now:   %s`, released, noted, now)
		if version, _, _ := strings.Cut(noted, " "); version == wheel.Version {
			t.Error("the content has changed, and the version has not")
		}
	}
}
