package main

import (
	"archive/tar"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestImage writes an image of the program, reads it as a container engine does,
// and runs the program in a root folder with nothing but its files.
func TestImage(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the program of an image runs on Linux")
	}
	dir := t.TempDir()
	program, out := filepath.Join(dir, "qhubctl"), filepath.Join(dir, "image.tar")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", program, "./cmd/qhubctl")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build = %v, want success\n%s", err, text)
	}
	if err := run([]string{"-program", program, "-arch", runtime.GOARCH, "-version", "v0.0.1", "-out", out}); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(out, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(config.Config.Entrypoint, []string{programAt}) || config.Config.User != "65532" || config.Architecture != runtime.GOARCH {
		t.Errorf("got the configuration %+v of %s, want the entrypoint %s, the user 65532 and %s",
			config.Config, config.Architecture, programAt, runtime.GOARCH)
	}
	root := filepath.Join(dir, "root")
	unpack(t, mutate.Extract(image), root)
	certificates, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(certificates) {
		t.Errorf("read the certificates of the image: %v, %d bytes, want some that can be parsed", err, len(certificates))
	}
	version(t, root)
}

// unpack writes the files of an archive below a folder.
func unpack(t *testing.T, from io.ReadCloser, dir string) {
	t.Helper()
	defer func() { _ = from.Close() }()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	archive := tar.NewReader(from)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		folder := path.Dir(header.Name)
		if header.Typeflag == tar.TypeDir {
			folder = path.Clean(header.Name)
		}
		if err := root.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		text, err := io.ReadAll(archive)
		if err == nil {
			err = root.WriteFile(header.Name, text, header.FileInfo().Mode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// version runs the program in the root folder, where this user may change it.
func version(t *testing.T, root string) {
	t.Helper()
	command := exec.CommandContext(context.Background(), "chroot", root, programAt, "version")
	if os.Geteuid() != 0 {
		t.Log("without root the program runs outside of the root folder")
		command = exec.CommandContext(context.Background(), filepath.Join(root, programAt), "version")
	}
	command.Env = []string{"HOME=" + dataAt}
	if text, err := command.CombinedOutput(); err != nil || !strings.HasPrefix(string(text), "qhubctl ") {
		t.Errorf("run the program of the image: %v %q, want its version", err, text)
	}
}
