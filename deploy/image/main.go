// Image writes a container image of qhubctl, FROM scratch, without a container
// engine:
//
//	go run . -program dist/qhubctl-linux-amd64 -arch amd64 -version v0.1.0 -out dist/qhubctl-image-amd64.tar
//
// The image holds the static program, with -references that for references, the certificates of public authorities,
// and a folder for its data that belongs to the user it runs as. `docker load`
// and `podman load` take the file.
package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	oci "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	programAt = "/usr/bin/qhubctl"
	dataAt    = "/var/lib/qhubctl"
	// user is the one that images without a distribution use for services.
	user = 65532
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	program := flags.String("program", "", "the program, built for Linux")
	references := flags.String("references", "", "the program that resolves references; empty: the image has none")
	arch := flags.String("arch", "amd64", "its architecture, as Go names it")
	version := flags.String("version", "development", "its version, which becomes the tag")
	out := flags.String("out", "", "the file to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *program == "" || *out == "" {
		return errors.New("-program and -out are needed; see go doc")
	}
	programs := []file{{name: programAt[1:], mode: 0o755}}
	paths := []string{*program}
	if *references != "" {
		programs, paths = append(programs, file{name: programAt[1:] + "-refs", mode: 0o755}), append(paths, *references)
	}
	for i := range programs {
		var err error
		if programs[i].content, err = os.ReadFile(paths[i]); err != nil {
			return err
		}
	}
	image, err := build(programs, *arch, *version)
	if err != nil {
		return err
	}
	tag, err := name.NewTag("qhubctl:" + *version)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(*out, tag, image)
}

// A file of the image. Without content it is a folder.
type file struct {
	name    string
	mode    int64
	owner   int
	content []byte
}

// build makes the image. The same programs make the same image.
func build(programs []file, arch, version string) (oci.Image, error) {
	var files bytes.Buffer
	if err := writeFiles(&files, programs); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files.Bytes())), nil
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config = oci.Config{
		Entrypoint: []string{programAt},
		WorkingDir: dataAt,
		User:       strconv.Itoa(user),
		Env:        []string{"PATH=" + path.Dir(programAt), "HOME=" + dataAt},
		Volumes:    map[string]struct{}{dataAt: {}},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "qhubctl",
			"org.opencontainers.image.version":  version,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(image, config)
}

// writeFiles writes the files of the image as an archive.
func writeFiles(to io.Writer, programs []file) error {
	archive := tar.NewWriter(to)
	certificates, err := certificates()
	if err != nil {
		return err
	}
	passwd := fmt.Sprintf("root:x:0:0:root:/root:/sbin/nologin\nqhubctl:x:%d:%d:qhubctl:%s:/sbin/nologin\n", user, user, dataAt)
	for _, file := range append([]file{
		{"etc/passwd", 0o644, 0, []byte(passwd)},
		{"etc/group", 0o644, 0, fmt.Appendf(nil, "root:x:0:\nqhubctl:x:%d:\n", user)},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, 0, certificates},
		{"tmp/", 0o1777, 0, nil},
		{dataAt[1:] + "/", 0o700, user, nil},
	}, programs...) {
		header := &tar.Header{
			Name: file.name, Mode: file.mode, Uid: file.owner, Gid: file.owner,
			Size: int64(len(file.content)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg,
		}
		if file.content == nil {
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(file.content); err != nil {
			return err
		}
	}
	return archive.Close()
}

// certificates are those of the authorities that browsers trust.
func certificates() ([]byte, error) {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file of certificates cannot say it
		}
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}
