// Package deploy chooses what of a workspace goes to a platform, and packs it.
//
// Left out are: what the ignore files say (.gitignore, .planqkignore, .qhubignore), what
// no service has (see [archive.Excluded]), and files of keys. A file that holds the
// value of a known secret is an error.
package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/archive"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/redact"
)

// A Selection is what of a workspace is deployed.
type Selection struct {
	Files []archive.File
	// LeftOut are files and folders, with the reason.
	LeftOut []LeftOut
}

// A LeftOut is a file or folder that is not deployed.
type LeftOut struct{ Name, Reason string }

// Names are the paths of the files.
func (s *Selection) Names() []string {
	names := make([]string, len(s.Files))
	for i, f := range s.Files {
		names[i] = f.Name
	}
	return names
}

// Size is how many bytes the files have.
func (s *Selection) Size() (size int64) {
	for _, f := range s.Files {
		if info, err := os.Stat(f.Path); err == nil {
			size += info.Size()
		}
	}
	return size
}

// ErrEmpty says that nothing is left to deploy.
var ErrEmpty = errors.New("all files are left out; nothing could be deployed")

// Select chooses the files of a folder.
func Select(dir string) (Selection, error) {
	var s Selection
	if err := s.walk(dir, "", nil); err != nil {
		return s, fmt.Errorf("look through the workspace: %w", err)
	}
	if len(s.Files) == 0 {
		return s, ErrEmpty
	}
	return s, nil
}

func (s *Selection) walk(dir, within string, rules []rule) error {
	own, err := readRules(dir, within)
	if err != nil {
		return err
	}
	rules = slices.Concat(rules, own)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name, file := path.Join(within, entry.Name()), filepath.Join(dir, entry.Name())
		info, err := os.Stat(file) // links are followed: what they lead to is what the service has
		if errors.Is(err, fs.ErrNotExist) {
			s.leave(name, "a link that leads nowhere")
			continue
		}
		if err != nil {
			return err
		}
		if reason := reason(name, entry, info, rules); reason != "" {
			s.leave(name, reason)
			continue
		}
		if info.IsDir() {
			if err := s.walk(file, name, rules); err != nil {
				return err
			}
			continue
		}
		s.Files = append(s.Files, archive.File{Name: name, Path: file, Executable: info.Mode().Perm()&0o100 != 0})
	}
	return nil
}

func (s *Selection) leave(name, reason string) {
	s.LeftOut = append(s.LeftOut, LeftOut{name, reason})
}

// reason says why a file or folder is left out; empty if it is not.
func reason(name string, entry fs.DirEntry, info fs.FileInfo, rules []rule) string {
	switch {
	case archive.Excluded(entry.Name()):
		return "never deployed"
	case isKey(entry.Name()):
		return "a file of keys or passwords"
	case entry.Type()&fs.ModeSymlink != 0 && info.IsDir():
		return "a link to a folder"
	case !info.IsDir() && !info.Mode().IsRegular():
		return "neither a file nor a folder"
	}
	if by, ok := ignored(rules, name, info.IsDir()); ok {
		return by
	}
	return ""
}

// isKey reports whether a file is one of keys or passwords by its name.
func isKey(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case ".netrc", "_netrc", ".pypirc", ".npmrc", ".git-credentials", ".htpasswd", "credentials.json", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519":
		return true
	}
	return slices.Contains([]string{".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx"}, path.Ext(name))
}

// A SecretError says that files hold values of secrets.
type SecretError struct{ Files []string }

func (e *SecretError) Error() string {
	return "the value of a secret of this machine stands in " + strings.Join(e.Files, ", ")
}

// Hint says what to do about it.
func (e *SecretError) Hint() string {
	return "take the value out, or leave the file out with a line in .qhubignore; a service gets its secrets with each request"
}

// Pack makes an archive of a selection. No file may hold one of the known secrets.
func Pack(s Selection, known []plaintext.Named) ([]byte, error) {
	secrets := make([]redact.Secret, 0, len(known))
	for _, secret := range known {
		if plaintext.Weak(secret.Value.Reveal()) == "" { // others stand in files by chance
			secrets = append(secrets, redact.Secret{Name: secret.Name, Value: secret.Value.Reveal()})
		}
	}
	masker := redact.New(secrets)
	defer masker.Clear()
	var found []string
	for _, f := range s.Files {
		content, err := os.ReadFile(f.Path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name, err)
		}
		if masker.Contains(content) {
			found = append(found, f.Name)
		}
	}
	if len(found) > 0 {
		return nil, &SecretError{found}
	}
	var b bytes.Buffer
	if err := archive.Pack(&b, s.Files); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
