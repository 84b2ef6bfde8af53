package sdk

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
)

// A Wheel is the Python SDK in the form of installers. The same program always makes the
// same bytes, because lock files pin their hash.
type Wheel struct {
	// Name is the file name, from which installers read the version.
	Name    string
	Version string
	Content []byte
}

// PythonWheel zips the embedded SDK.
var PythonWheel = sync.OnceValues(buildWheel)

type project struct {
	Project struct {
		Name           string
		Version        string
		Description    string
		RequiresPython string `toml:"requires-python"`
		Dependencies   []string
	}
}

func buildWheel() (Wheel, error) {
	p, err := readProject()
	if err != nil {
		return Wheel{}, err
	}
	files, err := pythonFiles()
	if err != nil {
		return Wheel{}, fmt.Errorf("the embedded Python SDK: %w", err)
	}
	readme, err := python.ReadFile("python/README.md")
	if err != nil {
		return Wheel{}, fmt.Errorf("the embedded Python SDK: %w", err)
	}
	distribution := strings.ReplaceAll(p.Project.Name, "-", "_") + "-" + p.Project.Version
	info := distribution + ".dist-info/"
	files[info+"METADATA"] = metadata(p, readme)
	files[info+"WHEEL"] = []byte("Wheel-Version: 1.0\nGenerator: qhubctl\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
	files[info+"RECORD"] = record(files, info+"RECORD")
	content, err := archive(files, info)
	return Wheel{Name: distribution + "-py3-none-any.whl", Version: p.Project.Version, Content: content}, err
}

func readProject() (project, error) {
	var p project
	text, err := python.ReadFile("python/pyproject.toml")
	if err == nil {
		err = toml.Unmarshal(text, &p)
	}
	if err != nil {
		return p, fmt.Errorf("the embedded Python SDK: %w", err)
	}
	return p, nil
}

// PythonVersion is the version of the embedded Python SDK.
func PythonVersion() (string, error) {
	p, err := readProject()
	return p.Project.Version, err
}

func metadata(p project, readme []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: %s\n", p.Project.Name, p.Project.Version, p.Project.Description)
	fmt.Fprintf(&b, "License: Apache-2.0\nRequires-Python: %s\n", p.Project.RequiresPython)
	for _, dependency := range p.Project.Dependencies {
		fmt.Fprintf(&b, "Requires-Dist: %s\n", dependency)
	}
	b.WriteString("Description-Content-Type: text/markdown\n\n")
	b.Write(readme)
	return b.Bytes()
}

// record lists every file with its hash in the form of PEP 376; uv refuses a wheel without
// it.
func record(files map[string][]byte, self string) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256(files[name])
		fmt.Fprintf(&b, "%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(files[name]))
	}
	b.WriteString(self + ",,\n")
	return b.Bytes()
}

// archive zips the files, uncompressed because compressors change between toolchains. Sizes
// stand before the files because uv reads an archive as a stream. The files of the
// dist-info folder come last, as PEP 427 recommends.
func archive(files map[string][]byte, info string) ([]byte, error) {
	names := slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		if last := strings.HasPrefix(a, info); last != strings.HasPrefix(b, info) {
			if last {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, name := range names {
		size := uint64(len(files[name]))
		header := &zip.FileHeader{
			Name: name, Method: zip.Store,
			ModifiedDate: 40<<9 | 1<<5 | 1, //nolint:staticcheck // 1 January 2020; CreateRaw uses no other field
			CRC32:        crc32.ChecksumIEEE(files[name]), CompressedSize64: size, UncompressedSize64: size,
		}
		header.SetMode(0o644)
		f, err := w.CreateRaw(header)
		if err == nil {
			_, err = f.Write(files[name])
		}
		if err != nil {
			return nil, fmt.Errorf("the Python wheel: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("the Python wheel: %w", err)
	}
	return buf.Bytes(), nil
}
