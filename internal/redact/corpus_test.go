package redact

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// scripts are packages with minified JavaScript and source maps.
var scripts = []string{"--no-deps", "swagger-ui-bundle==1.1.0", "bokeh==3.8.0"}

// corpus calls use with files of the Go tree, of Python's library, of /var/log, of
// /usr/share, and of these folders, up to so many bytes in all.
func corpus(t *testing.T, size int, use func(path string, text []byte), more ...string) {
	t.Helper()
	roots := append([]string{"/usr/share", "/var/log"}, more...)
	for _, command := range [][]string{{"go", "env", "GOROOT"}, {"python3", "-c", "import sysconfig; print(sysconfig.get_paths()['stdlib'])"}} {
		if out, err := exec.Command(command[0], command[1:]...).Output(); err == nil {
			roots = append([]string{strings.TrimSpace(string(out))}, roots...)
		}
	}
	for i, root := range roots {
		left := size / (len(roots) - i)
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || left <= 0 || !entry.Type().IsRegular() {
				return nil //nolint:nilerr // what cannot be read is left out
			}
			text, err := os.ReadFile(path)
			if err != nil || len(text) > 16<<20 {
				return nil //nolint:nilerr // see above
			}
			use(path, text)
			left, size = left-len(text), size-len(text)
			return nil
		})
	}
	if size > 0 {
		use("a log", redacttest.Log(rand.New(rand.NewPCG(7, 8)), size, nil, 0))
	}
}

// TestNothingElseIsMasked: source code, documents, binaries and logs that hold
// no secret stay unchanged.
func TestNothingElseIsMasked(t *testing.T) {
	size := 20
	var more []string
	if testing.Short() {
		size = 2
	}
	if testenv.Everything() {
		size = 120
		for _, packages := range [][]string{redacttest.Libraries, scripts} {
			venv, err := testenv.Venv("corpus", packages...)
			if err != nil {
				t.Fatal(err)
			}
			more = append(more, filepath.Join(venv, "lib"))
		}
	}
	rng := rand.New(rand.NewPCG(20, 20))
	secrets := make([][]byte, 20)
	for i := range secrets {
		secrets[i] = []byte(redacttest.Token(rng, 20))
	}
	m := newMasker(secrets...)
	var out bytes.Buffer
	w := m.Writer(&out)
	total := 0
	corpus(t, size<<20, func(path string, text []byte) {
		out.Reset()
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		total += len(text)
		if !bytes.Equal(out.Bytes(), text) {
			at := bytes.Index(out.Bytes(), []byte(Mask))
			if bytes.Contains(text, []byte(Mask)) {
				at = -1
			}
			t.Errorf("%s of %d bytes is changed at %d", path, len(text), at)
		}
	}, more...)
	t.Logf("%d bytes", total)
}
