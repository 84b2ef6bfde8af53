package runner

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// LinkInputs makes the files of a folder the input files. A folder that does
// not exist has none. A service may read more of them than it has parameters,
// so all are linked.
func (f Dir) LinkInputs(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the input files: %w", err)
	}
	for _, entry := range entries {
		source := filepath.Join(dir, entry.Name())
		info, err := os.Stat(source) // the user's own links are followed
		if err != nil {
			return fmt.Errorf("cannot read the input files: %w", err)
		}
		if !info.Mode().IsRegular() {
			continue
		}
		if err := linkOrCopy(source, filepath.Join(f.Input(), entry.Name())); err != nil {
			return fmt.Errorf("cannot provide the input file %s: %w", entry.Name(), err)
		}
	}
	return nil
}

// linkOrCopy copies where links need a privilege, as on Windows.
func linkOrCopy(source, target string) error {
	if os.Symlink(source, target) == nil {
		return nil
	}
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	return os.WriteFile(target, content, 0o600)
}

// Export copies a result file into dir, masked, under another name, masked too, and
// returns the path. It makes the folders of that name, and replaces a file that has
// it already. An error of the kind [redact.ErrWithheld] is about this file alone.
func Export(artifacts Artifacts, name, dir, as string, masker *redact.Masker) (string, error) {
	source, err := artifacts.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = source.Close() }()
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // holds no secret; the user's umask decides
		return "", fmt.Errorf("cannot make the folder of the result files: %w", err)
	}
	root, err := os.OpenRoot(dir) // no link in it leads out of it
	if err != nil {
		return "", fmt.Errorf("cannot open the folder of the result files: %w", err)
	}
	defer func() { _ = root.Close() }()
	target := filepath.FromSlash(masker.String(as))
	if err := exportTo(root, target, source, masker); err != nil {
		return "", fmt.Errorf("cannot write the result file %s: %w", masker.String(name), err)
	}
	return filepath.Join(dir, target), nil
}

// exportTo writes beside the file first, so that the file is complete or missing,
// and never written through a link.
func exportTo(root *os.Root, target string, source io.ReadSeeker, masker *redact.Masker) error {
	if err := root.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	part := filepath.Join(filepath.Dir(target), ".result-"+rand.Text()[:16])
	temporary, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = masker.Copy(temporary, source)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = root.Rename(part, target)
	}
	if err != nil {
		_ = root.Remove(part)
	}
	return err
}
