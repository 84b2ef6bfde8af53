package archive_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/archive"
)

// entry is one of a made archive.
type entry struct {
	name    string
	content string
	mode    fs.FileMode
	method  uint16
	flags   uint16
}

func zipped(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Flags: e.flags}
		if e.method != 0 {
			h.Method = e.method
		}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		w, err := z.CreateHeader(h)
		if err == nil && e.content != "" {
			_, err = w.Write([]byte(e.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(b []byte, dir string, l archive.Limits) (*archive.Archive, error) {
	a, err := archive.Open(bytes.NewReader(b), int64(len(b)), l)
	if err != nil {
		return nil, err
	}
	err = a.Unpack(dir)
	return a, err
}

func tree(t *testing.T, dir string) []string {
	t.Helper()
	names := []string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && path != dir {
			name, _ := filepath.Rel(dir, path)
			info, _ := e.Info()
			names = append(names, fmt.Sprintf("%s %s", info.Mode(), name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestUnpacks(t *testing.T) {
	dir := t.TempDir()
	b := zipped(t,
		entry{name: "src/"}, entry{name: "src/program.py", content: "def run(): pass\n"}, entry{name: "a/b/c.txt", content: "c"},
		entry{name: "service", content: "\x7fELF", mode: 0o4777}, entry{name: "empty"},
	)
	if _, err := unpack(b, dir, archive.Limits{}); err != nil {
		t.Fatalf("unpack = %v", err)
	}
	want := []string{
		"drwxr-xr-x a", "drwxr-xr-x a/b", "-rw-r--r-- a/b/c.txt", "-rw-r--r-- empty", "-rwxr-xr-x service", "drwxr-xr-x src", "-rw-r--r-- src/program.py",
	}
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("unpacked %q, want %q", got, want)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "src", "program.py")); err != nil || string(content) != "def run(): pass\n" {
		t.Errorf("src/program.py is %q, %v", content, err)
	}
}

// Nothing of a refused archive is written, not even its good entries.
func TestRefuses(t *testing.T) {
	good := entry{name: "good.txt", content: "good"}
	for name, bad := range map[string][]entry{
		"absolute":              {{name: "/etc/passwd", content: "x"}},
		"parent":                {{name: "../x", content: "x"}},
		"parent inside":         {{name: "a/../../x", content: "x"}},
		"not the shortest":      {{name: "a/./x", content: "x"}},
		"two slashes":           {{name: "a//x", content: "x"}},
		"backslash":             {{name: `..\x`, content: "x"}},
		"drive":                 {{name: "c:x", content: "x"}},
		"NUL":                   {{name: "a\x00b", content: "x"}},
		"line end":              {{name: "a\nb", content: "x"}},
		"not UTF-8":             {{name: "a\xffb", content: "x"}},
		"no name":               {{name: "", content: "x"}},
		"only a slash":          {{name: "/"}},
		"long name":             {{name: strings.Repeat("n", 256), content: "x"}},
		"long path":             {{name: strings.Repeat("n/", 600) + "x", content: "x"}},
		"deep":                  {{name: strings.Repeat("n/", 70) + "x", content: "x"}},
		"symbolic link":         {{name: "link", content: "/etc/passwd", mode: fs.ModeSymlink | 0o777}},
		"device":                {{name: "null", mode: fs.ModeDevice | fs.ModeCharDevice | 0o666}},
		"pipe":                  {{name: "pipe", mode: fs.ModeNamedPipe | 0o666}},
		"socket":                {{name: "socket", mode: fs.ModeSocket | 0o666}},
		"folder named as file":  {{name: "dir", mode: fs.ModeDir | 0o755}},
		"twice":                 {{name: "a", content: "1"}, {name: "a", content: "2"}},
		"file and folder":       {{name: "a", content: "1"}, {name: "a/b", content: "2"}},
		"folder and file":       {{name: "a/b", content: "1"}, {name: "a", content: "2"}},
		"encrypted":             {{name: "a", content: "1", flags: 1}},
		"too many":              numbered(100),
		"too large":             {{name: "zeros", content: strings.Repeat("\x00", 2<<20)}},
		"too large together":    {{name: "z1", content: strings.Repeat("\x00", 700<<10)}, {name: "z2", content: strings.Repeat("\x00", 700<<10)}},
		"bad among excluded":    {{name: ".git/../../x", content: "x"}},
		"only excluded entries": nil,
	} {
		t.Run(name, func(t *testing.T) {
			entries := append([]entry{good}, bad...)
			if name == "only excluded entries" {
				entries = []entry{{name: ".env", content: "SECRET_A=b"}}
			}
			dir := t.TempDir()
			_, err := unpack(zipped(t, entries...), dir, archive.Limits{Entries: 50, Size: 1 << 20})
			if _, ok := errors.AsType[*archive.Error](err); !ok {
				t.Errorf("unpack = %v, want an *archive.Error", err)
			}
			if got := tree(t, dir); len(got) != 0 {
				t.Errorf("written were %q, want nothing", got)
			}
		})
	}
}

func numbered(n int) []entry {
	entries := make([]entry, n)
	for i := range entries {
		entries[i].name = fmt.Sprintf("file-%d", i)
	}
	return entries
}

func TestRefusesWhatIsNoArchive(t *testing.T) {
	whole := zipped(t, entry{name: "a", content: strings.Repeat("abc", 1000)})
	overlapping := overlap(zipped(t, entry{name: "a", content: "0123456789", method: zip.Store}, entry{name: "b", content: "0123456789", method: zip.Store}))
	lying := bytes.Clone(whole) // claims fewer bytes than it has
	at := bytes.Index(lying, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(lying[at+24:], 5)
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("this is no archive at all, and long enough"), "cut": whole[:len(whole)-10], "front cut": whole[20:],
		"overlapping": overlapping, "lying": lying,
	} {
		dir := t.TempDir()
		_, err := unpack(b, dir, archive.Limits{})
		if _, ok := errors.AsType[*archive.Error](err); !ok {
			t.Errorf("unpack(%s) = %v, want an *archive.Error", name, err)
		}
	}
}

// overlap has the second entry use the data of the first.
func overlap(b []byte) []byte {
	first := bytes.Index(b, []byte("PK\x01\x02"))
	second := first + 1 + bytes.Index(b[first+1:], []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(b[second+42:], 0)
	return b
}

func TestLeavesOutWhatIsNeverDeployed(t *testing.T) {
	dir := t.TempDir()
	a, err := unpack(zipped(t,
		entry{name: "src/program.py", content: "x"}, entry{name: ".env", content: "SECRET_TOKEN=very-secret"}, entry{name: "src/.env.local", content: "x"},
		entry{name: ".git/config", content: "x"}, entry{name: ".git/HEAD", content: "x"}, entry{name: ".qhub/environment.json", content: "{}"},
		entry{name: ".venv/bin/python", content: "/usr/bin/python3", mode: fs.ModeSymlink | 0o777}, entry{name: "src/__pycache__/x.pyc", content: "x"}, entry{name: ".environment", content: "x"},
	), dir, archive.Limits{})
	if err != nil {
		t.Fatalf("unpack = %v", err)
	}
	if want := []string{".env", "src/.env.local", ".git", ".qhub", ".venv", "src/__pycache__"}; !slices.Equal(a.LeftOut, want) {
		t.Errorf("LeftOut = %q, want %q", a.LeftOut, want)
	}
	if want := []string{"-rw-r--r-- .environment", "drwxr-xr-x src", "-rw-r--r-- src/program.py"}; !slices.Equal(tree(t, dir), want) {
		t.Errorf("unpacked %q, want %q", tree(t, dir), want)
	}
}

func TestPacksTheSameTwice(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := []archive.File{{Name: "src/f", Path: file}, {Name: "run", Path: file, Executable: true}}
	var first, second bytes.Buffer
	if err := errors.Join(archive.Pack(&first, files), archive.Pack(&second, files)); err != nil {
		t.Fatalf("Pack = %v", err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("Pack makes two archives of the same files that differ")
	}
	out := t.TempDir()
	if _, err := unpack(first.Bytes(), out, archive.Limits{}); err != nil {
		t.Fatalf("unpack(Pack) = %v", err)
	}
	if want := []string{"-rwxr-xr-x run", "drwxr-xr-x src", "-rw-r--r-- src/f"}; !slices.Equal(tree(t, out), want) {
		t.Errorf("unpacked %q, want %q", tree(t, out), want)
	}
}

func FuzzOpen(f *testing.F) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("src/program.py")
	if err == nil {
		_, err = w.Write([]byte("def run(): pass"))
	}
	if err != nil || z.Close() != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "dir")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, _ = unpack(b, dir, archive.Limits{Entries: 10, Size: 1 << 16})
		if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
			t.Errorf("beside the folder there are %v, %v", entries, err)
		}
	})
}
